"""Diagnoses of wrong readers, readers that hang or crash, the page, and our own backends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.backends import BACKENDS
from hardware.conformance.__main__ import chosen
from hardware.conformance.diagnose import CAUSES, Variation, diagnose, first_difference
from hardware.conformance.evaluate import evaluate
from hardware.conformance.goldens import Golden, flattened, goldens
from hardware.conformance.page import digest, merged, page
from hardware.conformance.readers import READERS, Reader
from hardware.conformance.run import Row, as_json, judge, run_reader
from hardware.simulation import load, simulate
from mdft.errors import UserError
from tests.commands import run
from tests.nir_here import _nir_files_are_parsed_here  # noqa: F401 (a fixture)

GOLDENS = goldens()
ADAPTER = """
import os, time
import numpy as np
PACKAGES = ("numpy",)
def prepare():
    print("a library that prints")
def run(path, inputs, dt, option):
    (x,) = inputs.values()
    if len(x) == 1:
        time.sleep(1000)
    if len(x) == 2:
        os._exit(7)
    if len(x) == 3:
        raise ValueError("no such node\\nand more")
    return {"output": x}
"""


@pytest.mark.parametrize(
    ("graph", "cause"),
    [
        ("lif-r-3", "ignores r (takes it as 1)"),
        ("lif-r-mixed", "folds r·dt/τ into the threshold by its first value"),
        ("lif-leak", "ignores v_leak"),
        ("lif-reset-up", "ignores v_reset (resets to 0)"),
        ("lif-beta-31/32", "resets by subtraction"),
        ("lif-reset-down", "resets a step late"),
        ("lif-tie", "spikes at v ≥ v_threshold"),
        ("lif-beta-mixed", "gives every neuron the constants of the first"),
        ("lif-dt", "takes dt as 1e-4 s"),
        ("cubalif", "lets the membrane see the current a step late"),
        ("two-inputs", "drops the second input"),
        ("recurrent-lif", "drops the edge that closes a cycle"),
        ("skip", "answers a step late"),
    ],
)
def test_a_wrong_reader_is_diagnosed(graph: str, cause: str):
    golden = GOLDENS[graph]
    v = CAUSES[cause](Variation(flattened(golden.graph), golden.inputs, golden.dt))
    found = evaluate(v.graph, v.inputs, v.dt, v.rule)
    values = {k: x.astype(float) for k, x in found.items()}
    row = judge(golden, values)
    if not any(x.any() for x in values.values()):
        assert row.cause == ("sends nothing",)
        return
    assert row.status == "deviates" and row.cause and row.first is not None
    # Another cause may explain the same spikes: then the two variations are equal.
    again = Variation(flattened(golden.graph), golden.inputs, golden.dt)
    for name in row.cause:
        again = CAUSES[name](again)
    same = evaluate(again.graph, again.inputs, again.dt, again.rule)
    assert len(row.cause) == 1
    assert first_difference({k: x.astype(float) for k, x in same.items()}, values) is None


def test_a_reader_written_by_hand_that_ignores_v_reset():
    golden = GOLDENS["lif-reset-down"]
    first, lif = golden.graph.nodes["n0"], golden.graph.nodes["n1"]
    assert isinstance(first, nir.Linear) and isinstance(lif, nir.LIF)
    v, spikes = np.zeros(3), []
    for x in golden.inputs["input"]:
        v = v / 2 + first.weight @ x
        spikes.append(v > lif.v_threshold)
        v = np.where(spikes[-1], 0, v)
    row = judge(golden, {"output": np.array(spikes, float)})
    assert row.status == "deviates" and row.cause == ("ignores v_reset (resets to 0)",)
    noise = np.random.default_rng(0).random((16, 3)) < 0.5
    assert diagnose(GOLDENS["lif-beta-0"], {"output": noise.astype(float)}) == ()


def short(steps: int) -> Golden:
    """A graph that sends its input on."""
    shape = {"input": np.array([2])}
    ends = {"input": nir.Input(shape), "output": nir.Output({"output": np.array([2])})}
    x = np.ones((steps, 2), np.float32)
    return Golden(f"{steps} steps", "", nir.NIRGraph(ends, [("input", "output")]), {"input": x})


@pytest.mark.subprocess
def test_a_reader_that_hangs_or_crashes_is_restarted(tmp_path: Path):
    (tmp_path / "mine.py").write_text(ADAPTER)
    four = {g.name: g for g in map(short, (1, 2, 3, 4))}
    rows, versions = run_reader(Reader("mine", "mine"), four, 2.0, tmp_path)
    assert rows == {
        "1 steps": Row("hangs", message="no answer within 2 s"),
        "2 steps": Row("crashed", message="exit status 7: a library that prints"),
        "3 steps": Row("refused", message="ValueError: no such node"),
        "4 steps": Row("equal"),
    }
    assert versions["numpy"] == np.__version__
    (tmp_path / "mine.py").write_text("import no_such_package")
    rows, versions = run_reader(Reader("mine", "mine"), four, 2.0, tmp_path)
    assert {row.status for row in rows.values()} == {"absent"} and versions == {}
    assert "no_such_package" in rows["1 steps"].message


def test_the_page():
    two = {n: GOLDENS[n] for n in ("lif", "lif-r-3")}
    keys = {n: digest(g) for n, g in two.items()}

    def column(*rows: Row) -> dict:
        made = {n: as_json(r) | {"digest": keys[n]} for n, r in zip(two, rows, strict=True)}
        return {"date": "2026-01-02", "versions": {"python": "3.11"}, "rows": made}

    readers = {
        "a": column(Row("equal"), Row("deviates", 3, ("ignores r (takes it as 1)",))),
        "b": column(Row("hangs", message="no answer"), Row("deviates", 5)),
        "c": column(Row("refused", message="ValueError: no"), Row("equal")),
    }
    readers["c"]["rows"]["lif-r-3"]["digest"] = "of another golden"
    text = page(readers, two)
    assert "| graph | a | b | c |\n|---|---|---|---|" in text
    assert "| `lif` β = 1/2, r = τ/dt | = | hangs | refused |" in text
    assert "| `lif-r-3` β = 1/2, r = 3 | A 3 | ? 5 | – |" in text
    assert "| **equal** | 1 of 2 | 0 of 2 | 0 of 2 |" in text
    assert "- **A**: it ignores r (takes it as 1)" in text
    assert "- c, lif: `refused: ValueError: no`" in text


def test_a_reader_that_cannot_be_started_keeps_its_earlier_results():
    three = {n: GOLDENS[n] for n in ("lif", "lif-r-3", "linear")}
    ran = {"lif": Row("equal"), "lif-r-3": Row("deviates", 3)}
    before = merged({}, ran, {"python": "3.11"}, three, "2026-01-02")
    assert before["date"] == "2026-01-02" and list(before["rows"]) == ["lif", "lif-r-3"]
    absent = {n: Row("absent", message="no uv") for n in ("lif", "linear")}
    after = merged(before, absent, {}, three, "2026-03-04")
    assert (after["date"], after["versions"]) == ("2026-01-02", {"python": "3.11"})
    assert after["rows"]["lif"] == before["rows"]["lif"] | {"kept": "2026-03-04"}
    assert after["rows"]["lif-r-3"] == before["rows"]["lif-r-3"]
    assert after["rows"]["linear"]["status"] == "absent"
    text = page({"a": after}, three)
    assert "| `lif` β = 1/2, r = τ/dt | = † |" in text
    assert "| a | 2026-01-02 | python 3.11 (†: it could not be started on 2026-03-04) |" in text
    again = merged(after, {"lif": Row("equal")}, {"python": "3.12"}, three, "2026-05-06")
    assert again["rows"]["lif"] == before["rows"]["lif"] and again["date"] == "2026-05-06"
    first = merged({}, absent, {}, three, "2026-03-04")
    assert first["date"] == "2026-03-04" and first["versions"] == {}


def test_the_committed_page_is_that_of_the_json():
    docs = Path(__file__).resolve().parents[3] / "docs"
    readers = json.loads((docs / "conformance.json").read_text())["readers"]
    assert (docs / "conformance.md").read_text() == page(readers, GOLDENS)
    assert readers.keys() <= READERS.keys() and len(readers) > 7


@pytest.mark.parametrize("name", GOLDENS)
def test_the_float_reference_is_equal_or_refuses(name: str, tmp_path: Path):
    """What it refuses are nodes that its page lists, and cycles."""
    golden = GOLDENS[name]
    nir.write(tmp_path / "g.nir", golden.graph)
    batched = {k: x.reshape(1, len(x), -1) for k, x in golden.inputs.items()}
    try:
        network = load(tmp_path / "g.nir", golden.dt)
    except UserError as error:
        assert re.search("Conv|Pool|Delay|cycle", str(error))
        return
    found = simulate(network, batched)
    values = {
        k: found.spikes[p][0] if p in found.spikes else found.membranes[p][0]
        for k, p in network.outputs.items()
    }
    assert judge(golden, values) == Row("equal")


def test_every_backend_of_ours_is_a_reader():
    ours = chosen(("mdft",))
    assert {r.name for r in ours} == BACKENDS.keys() and not any(r.packages for r in ours)
    with pytest.raises(UserError, match="norse"):
        chosen(("nors",))


def test_the_command_keeps_the_columns_of_others(tmp_path: Path):
    kept = {"date": "2026-01-02", "versions": {}, "rows": {}}
    (tmp_path / "c.json").write_text(json.dumps({"readers": {"norse": kept}}))
    words = ("--readers", "reference_float", "--graphs", "lif", "linear", "--json", "c.json")
    status, out, err = run("hardware.conformance", *words, "--page", "c.md", folder=tmp_path)
    assert status == 0, err
    assert "reference_float  lif: equal" in out
    readers = json.loads((tmp_path / "c.json").read_text())["readers"]
    assert readers["norse"] == kept and list(readers["reference_float"]["rows"]) == [
        "lif",
        "linear",
    ]
    assert "| `lif` β = 1/2, r = τ/dt | = | – |" in (tmp_path / "c.md").read_text()


def test_the_command_keeps_results_of_a_reader_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hardware.conformance.run.shutil.which", lambda *_, **__: None)
    row = {"status": "equal", "digest": digest(GOLDENS["lif"])}
    column = {"date": "2026-01-02", "versions": {"norse": "1"}, "rows": {"lif": row}}
    (tmp_path / "c.json").write_text(json.dumps({"readers": {"norse": column}}))
    words = ("--readers", "norse", "--graphs", "lif", "--json", "c.json")
    status, out, err = run("hardware.conformance", *words, folder=tmp_path)
    assert status == 1 and "uv is not installed" in out, err
    assert "norse: results of 2026-01-02 are kept: 1" in out
    found = json.loads((tmp_path / "c.json").read_text())["readers"]["norse"]
    assert found["rows"]["lif"].pop("kept") and found == column
