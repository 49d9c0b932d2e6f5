"""The reader: what a graph means, and what it refuses in one line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.graph.graph import lower, read_network
from mdft.errors import UserError
from tests.hardware.nets import DT, lif, random_graph


def single(**nodes: nir.NIRNode) -> nir.NIRGraph:
    """in → the given nodes in order → out."""
    names = list(nodes)
    ends = {
        "in": nir.Input(input_type={"input": np.array([2])}),
        "out": nir.Output(output_type={"output": np.array([3])}),
    }
    chain = ["in", *names, "out"]
    return nir.NIRGraph({**ends, **nodes}, list(pairwise(chain)), type_check=False)


def affine() -> nir.Affine:
    weight = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    return nir.Affine(weight=weight, bias=np.array([7, 8, 9], np.float32))


def test_lif_parameters_are_those_of_forward_euler():
    graph = single(a=affine(), n=lif(3, tau=4 * DT, r=2.0, v_leak=0.5, v_reset=-0.25))
    (p,) = lower(graph).populations
    np.testing.assert_array_equal(p.decay, [0.25] * 3)  # dt/tau
    np.testing.assert_array_equal(p.gain, [0.5] * 3)  # r·dt/tau
    np.testing.assert_array_equal(p.bias, [7, 8, 9])
    np.testing.assert_array_equal(p.v_leak, [0.5] * 3)
    np.testing.assert_array_equal(p.v_reset, [-0.25] * 3)


@pytest.mark.parametrize("dv", [1, 7, 410, 2048, 4095])
def test_twelve_bit_decays_survive_float32(dv: int):
    graph = single(a=affine(), n=lif(3, tau=DT / (dv / 4096), r=4096 / dv))
    (p,) = lower(graph).populations
    np.testing.assert_array_equal(p.decay * 4096, [dv] * 3)
    np.testing.assert_array_equal(p.gain, [1.0] * 3)


def test_chains_fold_and_edges_add():
    second = nir.Affine(
        weight=np.arange(9, dtype=np.float32).reshape(3, 3), bias=np.array([1, 0, -1], np.float32)
    )
    graph = single(a=affine(), b=second, n=lif(3))
    graph.edges.append(("in", "d"))
    graph.edges.append(("d", "n"))
    graph.nodes["d"] = nir.Linear(weight=np.full((3, 2), 10, np.float32))
    (p,) = lower(graph).populations
    (s,) = p.synapses
    np.testing.assert_array_equal(s.weight, second.weight @ affine().weight + 10)
    np.testing.assert_array_equal(p.bias, second.weight @ affine().bias + second.bias)


def test_inputs_are_bound_by_name(tmp_path: Path):
    graph = random_graph(np.random.default_rng(0), features=5, size=4)
    nir.write(tmp_path / "g.nir", graph)
    network = read_network(tmp_path / "g.nir")
    assert network.inputs == {"events": 5, "threshold_current": 1}
    assert [p.name for p in network.populations] == ["lif_1", "lif_2", "lif_3"]
    assert network.outputs == {"spikes": "lif_3"}
    sources = [{s.source for s in p.synapses} for p in network.populations]
    expected = [
        {"events", "threshold_current"},
        {"lif_1", "threshold_current"},
        {"lif_2", "threshold_current"},
    ]
    assert sources == expected


BAD_LIF = {
    "tau": [0.0, -1.0, np.nan, np.inf, DT / 2],
    "r": [0.0, -1.0, np.nan],
    "v_threshold": [0.0, -1.0, np.nan, np.inf],
    "v_leak": [np.nan],
    "v_reset": [np.inf, 2.0],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, vs in BAD_LIF.items() for v in vs])
def test_bad_neurons_are_refused_by_name(field: str, value: float):
    with pytest.raises(UserError, match=f"n.{field}"):
        lower(single(a=affine(), n=lif(3, **{field: value})))


def refuse(folder: Path, graph: nir.NIRGraph, *words: str) -> None:
    path = folder / "g.nir"
    nir.write(path, graph)
    refuse_file(path, *words)


def refuse_file(path: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_network(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    for word in words:
        assert word in text, text


def test_structure_is_checked(tmp_path: Path):
    nan = affine()
    nan.weight[0, 0] = np.nan
    refuse(tmp_path, single(a=nan, n=lif(3)), "a.weight", "NaN")
    short = affine()
    short.bias = short.bias[:2]
    refuse(tmp_path, single(a=short, n=lif(3)), "a.bias")
    refuse(tmp_path, single(a=affine(), n=lif(4)), "[3]", "[4]")
    late = single(a=affine(), n=nir.Delay(np.full(3, -1e-3, np.float32)))
    refuse(tmp_path, late, "n.delay", "-0.001", "expected 0 to 65536 steps")
    cycle = single(a=affine(), b=nir.Linear(np.eye(3, dtype=np.float32)), n=lif(3))
    cycle.edges.append(("b", "b"))
    refuse(tmp_path, cycle, "b -> b", "cycle without a neuron")
    lost = single(a=affine(), n=lif(3))
    lost.nodes["lost"] = lif(3)
    refuse(tmp_path, lost, "'lost'", "incoming edge")
    dead_end = single(a=affine(), n=lif(3), m=lif(3))
    dead_end.edges.remove(("m", "out"))
    dead_end.edges.append(("n", "out"))
    refuse(tmp_path, dead_end, "'m'", "outgoing edge")
    no_source = single(a=affine(), n=lif(3))
    no_source.edges.remove(("in", "a"))
    refuse(tmp_path, no_source, "'a'", "incoming edge")
    dangling = single(a=affine(), n=lif(3))
    dangling.edges.append(("n", "ghost"))
    refuse(tmp_path, dangling, "ghost")
    twice = single(a=affine(), n=lif(3))
    twice.edges.append(("a", "n"))
    refuse(tmp_path, twice, "twice")


@pytest.mark.parametrize("name", ['x";print(1)#', "a b", "n" * 129, "ü"])
def test_a_name_that_could_run_code_is_refused(tmp_path: Path, name: str):
    refuse(tmp_path, single(a=affine(), **{name: lif(3)}), "name")
