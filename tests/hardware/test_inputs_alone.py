"""Somebody else's graph with inputs alone: docs/hardware.md's snippet, and which part is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hardware.pair import read_pair
from hardware.report import main as report
from hardware.run import main as run
from mdft.errors import UserError

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
