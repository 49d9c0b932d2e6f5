"""Any feed-forward graph: the float reference against plain loops, Lava against the references."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.fixed_point.quantise import input_grids, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.file import _build
from hardware.graph.graph import lower
from hardware.graph.network import Recording
from hardware.graph.structure import read_structure
from hardware.lava.run import lava_fixed, lava_float
from hardware.reference_float import reference_float
from tests.hardware import plain_nir
from tests.hardware.any_graph import DT, any_inputs, random_any

PROCESS = pytest.param("process", marks=pytest.mark.subprocess)

pytestmark = pytest.mark.rounding


@pytest.mark.parametrize("lava", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_reference_float_is_nirs_equations(seed: int, lava: bool):
    """Spikes too: off the grid no membrane comes nearer to its threshold than 4e-5 in these 30
    seeds, and sums in another order differ by 1e-15; on the grid every sum is exact.
    """
    graph = random_any(seed, lava)
    inputs, network = any_inputs(graph, seed), lower(graph, DT)
    values, membranes = plain_nir.run(graph, inputs, DT)
    found = reference_float(network, inputs)
    for p in network.populations:
        if p.name in graph.nodes and p.fires:
            np.testing.assert_array_equal(found.spikes[p.name], values[p.name], err_msg=p.name)
        expected = membranes.get(p.name, values[p.name])  # an Output of its own has no membrane
        np.testing.assert_allclose(found.membranes[p.name], expected, rtol=1e-9, atol=1e-12)
    assert set(network.outputs) == set(graph.outputs)
    for output, name in network.outputs.items():
        carried = found.spikes.get(name, found.membranes[name])
        np.testing.assert_allclose(carried, values[output], rtol=1e-9, atol=1e-12)


def test_the_random_graphs_are_worth_running():
    """Every node type, skips of several layers, several outputs, and spikes at sane rates."""
    graphs = [random_any(seed, lava) for seed in range(30) for lava in (False, True)]
    kinds = {type(node).__name__ for graph in graphs for node in graph.nodes.values()}
    assert kinds == {
        *("Input", "Output", "Linear", "Affine", "Scale", "Flatten"),
        *("LIF", "IF", "CubaLIF", "LI", "CubaLI", "I"),
    }
    assert {len(graph.outputs) for graph in graphs} >= {1, 2, 3}
    rates = []
    for seed, graph in enumerate(graphs):
        found = reference_float(lower(graph, DT), any_inputs(graph, seed))
        rates += [spikes.mean() for spikes in found.spikes.values()]
    assert 0.1 < np.mean(rates) < 0.6 and np.mean([0.02 < r < 0.9 for r in rates]) > 0.75


def same(found: Recording, expected: Recording) -> None:
    assert set(found.spikes) == set(expected.spikes)
    assert set(found.membranes) == set(expected.membranes)
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=name)


@pytest.mark.lava
@pytest.mark.parametrize("seed", range(8))
def test_lava_float_is_the_float_reference(seed: int):
    graph = random_any(seed, lava=True)
    inputs, network = any_inputs(graph, seed), lower(graph, DT)
    found, expected = lava_float(network, inputs), reference_float(network, inputs)
    same(found, expected)
    for name, membrane in expected.membranes.items():
        np.testing.assert_allclose(found.membranes[name], membrane, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_the_integers_mean_the_same_graph(seed: int):
    """Every spike, though leaks lose up to 1/64 unit: these graphs lie on a grid, or nearly."""
    graph = random_any(seed, lava=True)
    inputs, network = any_inputs(graph, seed), lower(graph, DT)
    integers = quantise(network, input_grids(inputs))
    found, expected = reference_int(integers, inputs), reference_float(network, inputs)
    assert len(integers.notes) <= 1
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=name)


@pytest.mark.lava
@pytest.mark.parametrize("seed", range(8))
def test_lava_fixed_is_the_integer_reference(seed: int):
    graph = random_any(seed, lava=True)
    inputs = any_inputs(graph, seed)
    integers = quantise(lower(graph, DT), input_grids(inputs))
    found, expected = lava_fixed(integers, inputs), reference_int(integers, inputs)
    same(found, expected)
    for name, membrane in expected.membranes.items():
        np.testing.assert_array_equal(found.membranes[name], membrane, err_msg=name)


def test_two_ways_of_one_source_add():
    """A Flatten that changes nothing beside the plain edge: v = 2·x at the first step."""
    n = np.ones(2)
    nodes = {
        "in": nir.Input({"input": np.array([2])}),
        "same": nir.Flatten({"input": np.array([2])}, 0, -1),
        "n": nir.LIF(DT * n, n, n * 0, n),
        "out": nir.Output({"output": np.array([2])}),
    }
    pairs = [("in", "same"), ("same", "n"), ("in", "n"), ("n", "out")]
    found = reference_float(lower(nir.NIRGraph(nodes, pairs), DT), {"in": np.full((1, 1, 2), 0.3)})
    np.testing.assert_array_equal(found.membranes["n"], [[[0.6, 0.6]]])


def apart() -> nir.NIRGraph:
    """x → a → b with an input y of its own into b; y → c alone: no process of c meets the rest.

    y reaches b one step later than c, so that the two have streams of their own.
    """
    n = np.ones(2)
    nodes: dict[str, nir.NIRNode] = {
        name: nir.Input({"input": np.array([2])}) for name in ("x", "y")
    }
    for name, before in {"a": ["x"], "b": ["a", "y"], "c": ["y"]}.items():
        nodes[name] = nir.LIF(2 * DT * n, 2 * n, 0 * n, n)
        nodes[f"out_{name}"] = nir.Output({"output": np.array([2])})
        nodes |= {f"{b}_{name}": nir.Linear(np.array([[1.0, 0.25], [0.5, 0.75]])) for b in before}
    pairs = [("x", "x_a"), ("x_a", "a"), ("a", "a_b"), ("a_b", "b"), ("y", "y_b"), ("y_b", "b")]
    pairs += [("y", "y_c"), ("y_c", "c"), *((name, f"out_{name}") for name in "abc")]
    return nir.NIRGraph(nodes, pairs)


@pytest.mark.lava
@pytest.mark.parametrize("runtime", ["inline", PROCESS])
def test_lava_runs_parts_that_share_no_process(runtime: str):
    graph = apart()
    inputs, network = any_inputs(graph, 0), lower(graph, DT)
    expected = reference_float(network, inputs)
    assert all(0.1 < spikes.mean() < 0.9 for spikes in expected.spikes.values())
    found = lava_float(network, inputs, runtime)
    integers = quantise(network, input_grids(inputs))
    for recording in (found, lava_fixed(integers, inputs, runtime)):
        assert set(recording.spikes) == {"a", "b", "c"}
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=name)


@given(seed=st.integers(0, 2**32 - 1), lava=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_file_says_the_same_as_its_graph(tmp_path_factory, seed: int, lava: bool):
    """Any graph, written and read back: equal networks, whatever the order in the file."""
    graph = random_any(seed, lava)
    path = tmp_path_factory.mktemp("any") / "g.nir"
    nir.write(path, graph)
    expected, found = lower(graph, DT), lower(_build(read_structure(path).arrays()), DT)
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
    populations = {p.name: p for p in found.populations}
    assert set(populations) == {p.name for p in expected.populations}
    for p in expected.populations:
        q = populations[p.name]
        for field in ("bias", "decay", "gain", "v_leak", "v_reset", "v_threshold"):
            np.testing.assert_array_equal(getattr(q, field), getattr(p, field))
        weights = {s.source: s.weight for s in q.synapses}
        for s in p.synapses:
            np.testing.assert_allclose(weights[s.source], s.weight, rtol=1e-12, atol=1e-15)
