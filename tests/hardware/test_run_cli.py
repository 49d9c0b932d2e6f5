"""`python -m hardware.run`: exit status 0, 1 and 2, the headline, JSON, one-line errors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.backends import BACKENDS
from hardware.fixed_point.quantise import input_grids, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.reference_float import reference_float
from hardware.run import main
from tests.backends import every_backend
from tests.hardware.nets import lif, random_graph, random_inputs, weights, write_probe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    graph, probe = tmp_path / "motion_audio.nir", tmp_path / "probe.npz"
    net = random_graph(rng, layers=2)
    nir.write(graph, net)
    inputs = random_inputs(rng)
    write_probe(probe, "audio", inputs, reference_float(lower(net), inputs))
    return str(graph), str(probe)


def change(probe: str, key: str, value) -> None:
    with np.load(probe) as file:
        arrays = dict(file)
    if value is None:
        del arrays[key]
    else:
        arrays[key] = value(arrays[key])
    np.savez(probe, **arrays)


@pytest.mark.subprocess
@every_backend
def test_equal_spikes_exit_0(files, capsys, tmp_path, backend: str):
    out = tmp_path / "result.json"
    assert main([*files, "--backend", backend, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    result = json.loads(out.read_text())
    compared = 3 * 9 * 32 * 2
    if backend in ("lava_fixed", "netx"):
        assert f"0 of {compared:,} spikes differ from reference_int, and 0 of as many" in text
    if backend.endswith("float"):
        assert f"0 of {compared:,} spikes differ from probe" in text
        assert all(x["differing"] == 0 for x in result["must"]["probe"])
    assert result["backend"] == backend and not result["failed"]
    assert result["runtime"] == ("inline" if BACKENDS[backend].runtimes else None)
    for key, file in zip(("graph_sha256", "probe_sha256"), files, strict=True):
        assert result[key] == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "motion_audio.nir",
        "probe.npz",
        "result.json",
    ]


def test_a_differing_spike_exits_1_and_is_located(files, capsys):
    def flip(spikes: np.ndarray) -> np.ndarray:
        spikes[1, 4, 7] = 1 - spikes[1, 4, 7]
        return spikes

    change(files[1], "audio.spikes.lif_1", flip)
    assert main([*files, "--backend", "reference_float"]) == 1
    text = capsys.readouterr().out
    assert "1 of 1,728 spikes differ" in text
    assert "sample 1, step 4, neuron 7" in text


def test_fixed_point_difference_from_the_probe_is_shown_and_no_failure(files, capsys):
    for key in ("audio.spikes.lif_2", "audio.spikes.out"):
        change(files[1], key, lambda spikes: 1 - spikes)
    assert main([*files, "--backend", "reference_int"]) == 0
    assert "; not required to equal it" in capsys.readouterr().out


def test_limit_keeps_the_arithmetic(tmp_path, monkeypatch):
    """The grid of the inputs comes from the whole probe, so fewer samples change no spike."""
    rng = np.random.default_rng(1)
    graph, probe = tmp_path / "motion_audio.nir", tmp_path / "probe.npz"
    net = random_graph(rng, layers=1)
    net.nodes["lif_1"] = lif(32, theta=1.3)  # a coarse unit counts it as 1.0 or 1.25
    nir.write(graph, net)
    network, inputs = lower(net), random_inputs(rng)
    for x in inputs.values():
        x[0] = np.round(x[0])  # the first sample alone lies on a coarser grid
    write_probe(probe, "audio", inputs, reference_float(network, inputs))
    found = []

    def spy(integers, given, runtime):
        found.append(reference_int(integers, given))
        return found[-1]

    monkeypatch.setitem(BACKENDS, "reference_int", replace(BACKENDS["reference_int"], run=spy))
    out = tmp_path / "result.json"
    for arguments, size in (([], 3), (["--limit", "1"], 1)):
        words = [str(graph), str(probe), "--backend", "reference_int", "--json", str(out)]
        assert main([*words, *arguments]) == 0
        assert json.loads(out.read_text())["samples"] == size
    whole, limited = (x.spikes["lif_1"][:1] for x in found)
    np.testing.assert_array_equal(whole, limited)
    alone = {name: x[:1] for name, x in inputs.items()}
    coarse = reference_int(quantise(network, input_grids(alone)), alone)
    assert (coarse.spikes["lif_1"] != whole).any()  # else the test could not fail


def refused(capsys, arguments: list[str], *words: str) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    for word in words:
        assert word in captured.err, captured.err


def test_wrong_use_exits_2_with_one_line(files, capsys, tmp_path):
    graph, probe = files
    refused(capsys, [graph, probe, "--backend", "chip"], "'chip'", ", ".join(BACKENDS))
    refused(capsys, [graph, probe, "--backend", "lava_float", "--runtime", "x"], "inline, process")
    refused(capsys, [graph, probe, "--backend", "reference_int", "--limit", "0"], "--limit")
    refused(capsys, [graph, str(tmp_path / "no.npz"), "--backend", "reference_int"], "no.npz")
    refused(capsys, [str(tmp_path / "no.nir"), probe, "--backend", "reference_int"], "no.nir")
    refused(capsys, [graph, graph, "--backend", "reference_int"], "not a readable .npz")
    words = [graph, probe, "--backend", "reference_int"]
    refused(capsys, [*words, "--pathway", "visual"], "probe.npz", "'visual'")
    refused(capsys, [*words, "--json", "/nowhere/x.json"], "--json is /nowhere/x.json")
    refused(capsys, [*words, "--json", str(tmp_path)], "--json")


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("audio.in.events", None, "in.events is missing"),
        ("audio.in.events", lambda x: x[:, :, :5], "expected (B, S, 24)"),
        ("audio.in.events", lambda x: x * np.nan, "NaN"),
        ("audio.in.threshold_current", lambda x: x[:, :3], "disagree"),
        ("audio.spikes.lif_2", lambda x: x[:1], "spikes.lif_2"),
        ("audio.spikes.lif_2", lambda x: x * 2, "other than 0 and 1"),
        ("audio.spikes.out", lambda x: 1 - x, "spikes.out differs from spikes.lif_2"),
        ("audio.membrane.lif_1", None, "membrane.lif_1 is missing"),
    ],
)
def test_a_broken_probe_is_refused_by_key(files, capsys, key: str, value, word: str):
    change(files[1], key, value)
    refused(capsys, [*files, "--backend", "reference_float"], files[1], word)


def test_json_is_checked_before_the_work(files, capsys, monkeypatch):
    monkeypatch.setattr("hardware.pair.read_pair", lambda *_, **__: pytest.fail("work was done"))
    words = [*files, "--backend", "reference_float", "--json", "nodir/x.json"]
    refused(capsys, words, "--json is nodir/x.json")


@pytest.mark.rounding
def test_a_strangers_float_graph_runs_in_integers(tmp_path, capsys):
    """Nothing on a power-of-two grid: inputs and weights are rounded, and it is said."""
    rng = np.random.default_rng(2)
    graph, probe = tmp_path / "motion_audio.nir", tmp_path / "probe.npz"
    net = random_graph(rng, layers=2)
    for i, width in ((1, 24), (2, 32)):
        bound = 1 / np.sqrt(width)  # PyTorch's own initialisation
        weight = rng.uniform(-bound, bound, (32, width)).astype(np.float32)
        bias = rng.uniform(0, 3 * bound, 32).astype(np.float32)
        net.nodes[f"affine_{i}"] = nir.Affine(weight=weight, bias=bias)
    nir.write(graph, net)
    inputs = {k: (x * 1.1).astype(np.float32) for k, x in random_inputs(rng, steps=40).items()}
    write_probe(probe, "audio", inputs, reference_float(lower(net), inputs))
    out = tmp_path / "result.json"
    words = [str(graph), str(probe), "--backend", "reference_int", "--json", str(out)]
    assert main(words) == 0
    result = json.loads(out.read_text())
    text = " ".join(result["notes"])
    for word in ("input 'events' rounded", "input 'threshold_current' rounded", "affine_1: weig"):
        assert word in text, text
    # Rates from 0.05 to 0.28 and F1 from 0.884 to 1 for seeds 0 to 29; 0.919 and more here.
    for layer in result["shown"]["probe"]:
        assert 0.02 < layer["rate"] < 0.6 and layer["f1"] > 0.8, layer


NO_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
"""


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "backend",
    [
        "reference_int",
        "reference_float",
        *(pytest.param(f"lava_{x}", marks=pytest.mark.lava) for x in ("float", "fixed")),
    ],
)
def test_the_command_runs_without_torch(files, tmp_path, backend: str):
    """`python -m hardware.run` in an interpreter, and children of it, that have no torch."""
    (tmp_path / "sitecustomize.py").write_text(NO_TORCH)
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    run_python = partial(
        subprocess.run, capture_output=True, text=True, check=False, cwd=ROOT, env=env
    )
    blocked = run_python([sys.executable, "-c", "import torch"])
    assert "ModuleNotFoundError" in blocked.stderr  # else the test could not fail
    done = run_python([sys.executable, "-m", "hardware.run", *files, "--backend", backend])
    assert done.returncode == 0, done.stderr


def graded_files(folder: Path) -> tuple[str, str]:
    """Two inputs, a LIF that skips to an LI, three outputs; a step is 1 ms."""
    rng = np.random.default_rng(5)

    def full(value: float) -> np.ndarray:
        return np.full(4, value, np.float32)

    nodes = {
        "x": nir.Input({"input": np.array([2, 3])}),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "y": nir.Input({"input": np.array([4])}),
        "w": nir.Linear(weights(rng, 4, 6, 40)),
        "first": nir.LIF(full(2e-3), full(2), full(0), full(1.01)),
        "second": nir.IF(full(1e3), full(1.01)),
        "u": nir.Affine(weights(rng, 4, 4, 40), full(0.25)),
        "li": nir.LI(full(4e-3), full(4), full(0)),
        "v": nir.Linear(weights(rng, 4, 4, 40)),
        **{name: nir.Output({"output": np.array([4])}) for name in ("a", "b", "c")},
    }
    edges = [("x", "flat"), ("flat", "w"), ("w", "first"), ("y", "first"), ("first", "second")]
    edges += [("second", "u"), ("u", "li"), ("first", "v"), ("v", "li"), ("li", "c")]
    net = nir.NIRGraph(nodes, [*edges, ("first", "a"), ("second", "b")])
    nir.write(folder / "g.nir", net)
    network = lower(net, 1e-3)
    inputs = {n: rng.integers(0, 33, (3, 8, w)) / 16 for n, w in (("x", 6), ("y", 4))}
    found = reference_float(network, inputs)
    write_probe(folder / "probe.npz", "audio", inputs, found, network.outputs)
    return str(folder / "g.nir"), str(folder / "probe.npz")


@every_backend
def test_a_graph_with_membranes_and_several_outputs(tmp_path, capsys, backend: str):
    files = graded_files(tmp_path)
    words = [*files, "--backend", backend, "--pathway", "audio", "--dt", "1e-3"]
    if backend == "netx":
        refused(capsys, words, "li: sends its membrane")
        return
    out = tmp_path / "result.json"
    assert main([*words, "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    (layers,) = (result["must"] or result["shown"]).values()
    assert {x["layer"] for x in layers} == {"first", "second", "li"}
    assert [x["layer"] for x in layers if x["graded"]] == ["li"]
    assert all(0.05 < x["rate"] < 0.8 for x in layers if not x["graded"])
    if result["must"]:
        assert all(x["differing"] == 0 for x in layers)
    assert "graded" in capsys.readouterr().out
    # The comparison of membranes can fail, and says where.
    change(files[1], "audio.membrane.li", lambda v: v + 0.01 * (np.indices(v.shape)[1] == 5))
    change(files[1], "audio.out.c", lambda v: v + 0.01 * (np.indices(v.shape)[1] == 5))
    assert main(words) == (1 if backend.endswith("float") else 0)


def test_dt_is_checked(files, capsys):
    for dt in ("0", "-1", "inf", "nan"):
        refused(capsys, [*files, "--backend", "reference_float", "--dt", dt], "--dt")
    refused(capsys, [*files, "--backend", "reference_float", "--dt", "1"], "lif_1.tau")


def test_every_output_needs_its_key(tmp_path, capsys):
    graph, probe = graded_files(tmp_path)
    words = [graph, probe, "--backend", "reference_float", "--pathway", "audio", "--dt", "1e-3"]
    change(probe, "audio.out.c", lambda v: v + 1)
    refused(capsys, words, "out.c differs from membrane.li")
    change(probe, "audio.out.c", None)
    refused(capsys, words, "out.c is missing")
