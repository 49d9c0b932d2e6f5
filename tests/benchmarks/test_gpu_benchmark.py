"""The benchmark on a GPU: its dry run, its processes and limits, and its table."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.gpu import process, suite
from benchmarks.gpu.__main__ import Options, run
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.report import TARGETS, markdown
from benchmarks.gpu.results import Result, Row, read
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.trial import timed
from benchmarks.timing import by_clock, medians
from mdft.errors import UserError
from tests.benchmarks import gpu_works

ROOT = Path(__file__).resolve().parents[2]
#: What is not needed for training.
ABSENT = (
    *("av", "lava", "tonic", "faery", "nir", "nirtorch", "snntorch", "spikingjelly", "norse"),
    *("sinabs", "eventcv", "hdf5plugin", "matplotlib", "PIL", "tensorboard", "jinja2", "joblib"),
    *("pytest", "hypothesis"),
)


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_dry_run_measures_every_part(tmp_path: Path):
    """Nothing is missing but the packages that are; and no import asks for a GPU before a fork."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--out", str(out)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    absent = [name for name in ("snntorch", "spikingjelly") if find_spec(name) is None]
    assert done.returncode == bool(absent), done.stderr
    assert "processes start by forkserver\n" in done.stdout
    found = {part: read(out, part) for part in PARTS}
    for part, result in found.items():
        expected = "incomplete" if part == "peers" and absent else "done"
        assert (result.state, result.reason) == (expected, ""), part
        assert len(result.missing) == (len(absent) if part == "peers" else 0)
        assert (out / f"{part}.log").exists()
    assert sum(row["tests"] for row in found["tests"].rows) > 20  # pyright: ignore
    for row in found["motion"].rows:
        assert float(str(row["branch, ms"])) > 0 < float(str(row["products, ms"]))
    assert [row["B"] for row in found["motion"].rows] == [64, 128, 64, 128]
    for row in found["peers"].rows:
        assert row.get("spikes that differ", 0) == 0
    assert [row["steps"] for row in found["training"].rows[:2]] == [4, 2]  # of 200 clips
    text = (out / "table.md").read_text()
    assert text in done.stdout and "A dry run" in text and "| yes |" not in text


def test_all_parts_end_within_nine_minutes():
    """Ten seconds are left for what is not in a part."""
    assert sum(limit for _, limit in PARTS.values()) <= 9 * 60 - 10
    for target in TARGETS:
        assert target.part in PARTS


def test_a_wrong_argument_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="did you mean 'motion'"):
        run(Options(tmp_path / "out", dry_run=True, only=("motoin",)))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device; use --dry-run"):
        run(Options(tmp_path / "out"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "figure.png").touch()
    with pytest.raises(UserError, match="expected a new or empty folder"):
        run(Options(tmp_path, dry_run=True))


@pytest.mark.subprocess
def test_importing_it_needs_what_training_needs():
    """Every part is imported; no package that training does not need is."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
        "import benchmarks.gpu.__main__, benchmarks.gpu.parts\n"
        "assert len(benchmarks.gpu.parts.PARTS) > 5\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=600)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No probe, which imports torch."""
    monkeypatch.setattr(process, "start_method", lambda: "forkserver")


@pytest.mark.subprocess
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("work", "state", "reason", "missing"),
    [
        (gpu_works.fails, "failed", "RuntimeError: CUDA error: an illegal memory access", None),
        (gpu_works.dies, "failed", "its process died (exit status -9); see part.log", None),
        (gpu_works.leaves, "failed", "SystemExit: 0", None),
        (gpu_works.lacks, "incomplete", "", "SpikingJelly: it is not installed"),
    ],
)
def test_what_a_part_did_not_do_is_recorded(work, state, reason, missing, tmp_path: Path):
    result = process.run("part", work, 300, tmp_path)
    assert (result.state, result.reason) == (state, reason)
    assert result.missing == [missing or f"{state}: {reason}"]
    assert len(result.rows) == (0 if work is gpu_works.leaves else 1)
    assert json.loads((tmp_path / "part.json").read_text())["state"] == state


@pytest.mark.subprocess
@pytest.mark.usefixtures("forked")
def test_a_part_is_ended_at_its_limit_with_its_children(tmp_path: Path):
    process.run(
        "first", gpu_works.lacks, 300, tmp_path
    )  # the process that the others are forked from
    result = process.run("part", gpu_works.hangs, 5, tmp_path)
    assert result.state == "timeout" and result.reason == "ended at its limit of 5 s"
    (row,) = result.rows  # what it found until then
    stat = Path(f"/proc/{row['pid']}/stat")
    for _ in range(100):  # whoever adopted it may take a moment to bury it
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("its child still runs")
    assert "about to hang" in (tmp_path / "part.log").read_text()


def test_what_does_not_fit_is_left_out_with_its_reason():
    import torch

    calls = []

    def too_large():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    works = {"a": lambda: calls.append("a"), "b": too_large}
    seconds, row = timed(works, Sizes(device="cpu", rounds=3))
    assert list(seconds) == ["a"] and row["reason"] == (
        "b: OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB"
    )
    assert len(calls) == 2 + 1 + 3  # compiled, warm, counted


def test_the_clock_of_a_work():
    assert by_clock(lambda: time.sleep(0.01)) >= 0.01
    assert medians({"": lambda: None}, rounds=1)[""] >= 0


def test_the_tests_are_those_with_the_marker(tmp_path: Path):
    folder = tmp_path / "tests" / "mdft"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text("@pytest.mark.gpu\ndef test(): torch.compile\n")
    (folder / "test_b.py").write_text("def test(lif_device): ...\n")
    (folder / "test_c.py").write_text("def test(): ...\n")
    assert suite.files(tmp_path) == ["tests/mdft/test_b.py", "tests/mdft/test_a.py"]


def results(**changes: float) -> list[Result]:
    """Of a card that reaches every target by little."""
    found = {"motion": 1.3, "snntorch": 15.0, "spikingjelly": 1.0, "epochs": 120.0} | changes
    strict: Row = {"precision": "float32"}
    other: Row = {"library": "snnTorch", "precision": "TF32", "theirs / branch": 2.0}
    peers: list[Row] = [
        {**strict, "library": "snnTorch", "theirs / branch": found["snntorch"]},
        {**strict, "library": "snnTorch", "theirs / branch": 99.0},
        other,
        {**strict, "backend": "triton", "theirs / branch": found["spikingjelly"]},
    ]
    return [
        Result("device", 1, "done", rows=[{"name": "Card 9", "date": "2026-01-02"}]),
        Result("motion", 1, "done", rows=[{"branch / larger floor": found["motion"]}]),
        Result("peers", 1, "done", rows=peers),
        Result("training", 1, "done", rows=[{"measured": "epoch", "50 epochs, s": 120.0}] * 1
               + [{"measured": "epoch", "50 epochs, s": found["epochs"]}]),
    ]  # fmt: skip


def holds(found: list[Result], *, dry: bool = False) -> list[object]:
    return [target.row(found, dry=dry)["holds"] for target in TARGETS]


def test_targets_hold_at_their_bounds_and_not_beyond():
    assert holds(results()) == ["yes"] * 4
    assert holds(results(), dry=True) == ["dry run"] * 4
    worse = results(motion=1.31, snntorch=14.9, spikingjelly=0.99, epochs=120.1)
    assert holds(worse) == ["no"] * 4
    assert holds([]) == ["not measured"] * 4
    assert "Card 9, 2026-01-02" in markdown(worse, dry=False)


def test_a_target_of_which_a_row_is_missing_was_not_measured():
    found = results()
    found[1].rows.append({"branch / larger floor": None, "reason": "out of memory | 9 GiB"})
    assert holds(found) == ["not measured", "yes", "yes", "yes"]
    text = markdown(found, dry=False)
    assert "- out of memory | 9 GiB" in text
    assert (
        "| motion branch over the larger of products and traffic | ≤ 1.3 |  | not measured |"
        in text
    )


def test_the_outcomes_of_tests_are_counted():
    rows: list[Row] = [{"test": name, "outcome": "passed"} for name in "abc"]
    rows.append({"test": "d", "outcome": "failed", "reason": "d: failed: assert 1 == 2"})
    text = markdown([Result("tests", 1, "incomplete", rows=rows)], dry=False)
    assert "| passed | 3 |" in text and "| failed | 1 |" in text
    assert "- d: failed: assert 1 == 2" in text
