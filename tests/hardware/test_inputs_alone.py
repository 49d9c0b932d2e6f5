"""Somebody else's graph with inputs alone: docs/hardware.md's snippet, and which part is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hardware
from hardware.netx import main as netx
from hardware.pair import read_pair
from hardware.report import main as report
from hardware.run import main as run
from mdft.errors import UserError
from tests.hardware.nets import hidden_out

DOCUMENT = Path(__file__).parents[2] / "docs" / "hardware.md"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """8 inputs, 16 neurons, β = 0.9 at the default dt, r = 1, a graph that knows none of ours."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(16, 8)) * 8, rng.normal(size=16)
    one, none = np.ones(16), np.zeros(16)
    nodes = {
        "in": nir.Input({"input": np.array([8])}),
        "fc": nir.Affine(weight, bias),
        "cells": nir.LIF(1e-3 * one, r=one, v_leak=none, v_threshold=one, v_reset=none),
        "out": nir.Output({"output": np.array([16])}),
    }
    edges = [("in", "fc"), ("fc", "cells"), ("cells", "out")]
    nir.write(tmp_path / "their.nir", nir.NIRGraph(nodes=nodes, edges=edges))
    return tmp_path / "their.nir"


def save(probe: Path, arrays: dict[str, Any]) -> None:
    np.savez(probe, **arrays)


def by_hand(graph: Path, inputs_BSN: np.ndarray) -> np.ndarray:
    """NIR's equation of a LIF in plain loops."""
    nodes: dict[str, Any] = nir.read(graph).nodes
    fc, cells, dt = nodes["fc"], nodes["cells"], 1e-4
    spikes = np.zeros((*inputs_BSN.shape[:2], 16))
    for b, sample in enumerate(inputs_BSN):
        v = np.zeros(16)
        for s, x in enumerate(sample):
            v = v + dt / cells.tau * (cells.v_leak - v + cells.r * (fc.weight @ x + fc.bias))
            spikes[b, s] = v > cells.v_threshold
            v = np.where(spikes[b, s], cells.v_reset, v)
    return spikes


def test_the_snippet_of_the_docs_makes_a_probe_that_runs(
    graph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    monkeypatch.chdir(graph.parent)
    (snippet,) = (s for s in snippets if "np.savez" in s)
    exec(snippet, {"graph": "their.nir"})
    pair = read_pair(graph, Path("probe.npz"))
    assert pair.pathway == "mine" and pair.probe.author == "reference_float"
    # No membrane comes nearer to its threshold than 3e-4; the order of a sum moves one by 1e-15.
    assert np.array_equal(pair.probe.spikes["cells"], by_hand(graph, pair.probe.inputs["in"]))
    assert 0.01 < pair.probe.spikes["cells"].mean() < 0.99
    assert run([str(graph), "probe.npz", "--backend", "reference_float", "--json", "run.json"]) == 0
    said, saved = capsys.readouterr().out, json.loads(Path("run.json").read_text())
    assert "spikes differ from reference_float" in said and "inputs alone" in said
    assert list(saved["must"]) == ["reference_float"] and not saved["failed"]


@pytest.mark.lava
def test_a_fixed_point_backend_must_give_the_integer_reference(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe, saved = graph.parent / "probe.npz", graph.parent / "run.json"
    save(probe, {"mine.in.in": np.random.default_rng(1).integers(0, 2, (2, 9, 8))})
    flags = ["--backend", "lava_fixed", "--json", str(saved)]
    assert run([str(graph), str(probe), *flags]) == 0
    result = json.loads(saved.read_text())
    assert list(result["must"]) == ["reference_int"]
    assert list(result["shown"]) == ["reference_float"]
    assert report([str(graph), str(probe), "--out", str(graph.with_name("page.html"))]) == 0
    page = graph.with_name("page.html").read_text()
    assert "spikes of reference_float" in page and "PyTorch" not in page


def test_which_part_of_a_probe_is_taken(graph: Path) -> None:
    x = np.zeros((1, 3, 8))
    probe = graph.parent / "probe.npz"
    save(probe, {"one.in.in": x, "two.in.in": x + 1})
    with pytest.raises(UserError, match=r"--pathway, one of: one, two"):
        read_pair(graph, probe)
    with pytest.raises(UserError, match=r"--pathway is 'tow', expected .*did you mean 'two'"):
        read_pair(graph, probe, "tow")
    assert read_pair(graph, probe, "two").probe.inputs["in"].min() == 1
    named = graph.rename(graph.with_name("motion_one.nir"))
    assert read_pair(named, probe).probe.inputs["in"].max() == 0
    save(probe, {"inputs": x})
    with pytest.raises(UserError, match=r"no inputs in it, expected keys such as"):
        read_pair(named, probe)


def test_some_spikes_are_not_inputs_alone(graph: Path) -> None:
    probe = graph.parent / "probe.npz"
    save(probe, {"mine.in.in": np.zeros((1, 3, 8)), "mine.spikes.out": np.zeros((1, 3, 16))})
    with pytest.raises(UserError, match=r"membrane\.cells is missing"):
        read_pair(graph, probe)


@pytest.mark.parametrize("key", ["in.typo", "grid.In"])
def test_an_input_that_the_graph_lacks_is_refused(graph: Path, key: str) -> None:
    probe = graph.parent / "probe.npz"
    save(probe, {"mine.in.in": np.zeros((1, 3, 8)), f"mine.{key}": np.zeros((1, 3, 8))})
    with pytest.raises(UserError, match=rf"{re.escape(key)}: input is '\w+', expected"):
        read_pair(graph, probe)


def test_inputs_of_the_pathway_of_another_graph_are_refused(graph: Path) -> None:
    one, probe = graph.with_name("motion_one.nir"), graph.parent / "probe.npz"
    one.write_bytes(graph.read_bytes())
    two = graph.rename(graph.with_name("motion_two.nir"))
    save(probe, {"one.in.in": np.zeros((1, 3, 8))})
    with pytest.raises(UserError, match=r"pathway 'one' alone, whose graph is motion_one\.nir"):
        read_pair(two, probe)
    assert read_pair(two, probe, "one").pathway == read_pair(one, probe).pathway == "one"
    save(probe, {"mine.in.in": np.zeros((1, 3, 8))})  # one's own inputs, under any name
    assert read_pair(two, probe).pathway == "mine"


def test_a_hidden_layer_called_out(tmp_path: Path) -> None:
    """Its spikes have the key of the output's, so the output's are under out.<output>."""
    nir.write(tmp_path / "g.nir", hidden_out())
    network, x = hardware.load(tmp_path / "g.nir"), np.ones((1, 6, 2))
    found = hardware.simulate(network, x)
    assert (found.spikes["out"] != found.spikes["last"]).any()
    arrays = {"g.in.i": x, "g.out.o": found.spikes["last"]}
    for name in ("out", "last"):
        arrays |= {f"g.spikes.{name}": found.spikes[name]}
        arrays |= {f"g.membrane.{name}": found.membranes[name]}
    save(tmp_path / "p.npz", arrays)
    probe = read_pair(tmp_path / "g.nir", tmp_path / "p.npz").probe
    np.testing.assert_array_equal(probe.spikes["last"], found.spikes["last"])


def test_no_command_writes_over_what_it_reads(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe, page = graph.parent / "probe.npz", str(graph.parent / "page")
    save(probe, {"mine.in.in": np.zeros((1, 3, 8))})
    kept = graph.read_bytes(), probe.read_bytes()
    files = [str(graph), str(probe)]
    for command, words in (
        (run, [*files, "--backend", "reference_int", "--json", str(graph)]),
        (report, [*files, "--out", str(probe)]),
        (report, [*files, "--out", page, "--json", page]),
        (netx, [*files, str(graph)]),
    ):
        assert command(words) == 2
        assert "give another name" in capsys.readouterr().err
    assert (graph.read_bytes(), probe.read_bytes()) == kept
    assert not Path(page).exists()
