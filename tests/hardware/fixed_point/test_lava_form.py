"""What Lava's LIF cannot express is refused by name; what it can is put into its variables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from hardware import simulate
from hardware.fixed_point.lava_form import lava_form
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.graph.network import START, constants
from hardware.lava.groups import grouped
from hardware.lava.run import lava_float
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware.any_graph import DT

MIXED = {
    "two decays": {"tau": np.array([2, 4]) * DT},
    "two thresholds": {"v_threshold": np.array([1.0, 2.0])},
    "two resets": {"v_reset": np.array([0.0, -1.0])},
}


def small(neuron: nir.NIRNode, *after: tuple[str, nir.NIRNode]) -> nir.NIRGraph:
    """in → w → n → after…, each with an Output at the end."""
    nodes = {"in": nir.Input({"input": np.array([2])}), "w": nir.Linear(np.eye(2)), "n": neuron}
    nodes |= dict(after)
    names = [*nodes, "out"]
    nodes["out"] = nir.Output({"output": np.array([2])})
    return nir.NIRGraph(nodes, list(pairwise(names)))


def lif(**changes: np.ndarray) -> nir.LIF:
    one: dict[str, Any] = {"tau": np.full(2, 2 * DT), "r": np.full(2, 2.0), "v_leak": np.zeros(2)}
    one |= {"v_threshold": np.ones(2), "v_reset": np.zeros(2)}
    one.update(changes)
    return nir.LIF(**one)


def refused_by_lava(graph: nir.NIRGraph, words: str) -> None:
    """By every Lava backend, before Lava is even imported; the float reference runs it."""
    network = lower(graph, DT)
    inputs = {"in": np.ones((1, 4, 2))}
    reference_float(network, inputs)
    for name in ("lava_float", "reference_int", "lava_fixed"):
        with pytest.raises(UserError) as caught:
            simulate(network, inputs, name, grids={"in": 1.0})
        assert words in str(caught.value), (name, str(caught.value))


@pytest.mark.parametrize("case", MIXED)
def test_neurons_that_differ_are_groups_in_lava(case: str):
    network = lower(small(lif(**MIXED[case])), DT)
    form = lava_form(network)
    groups = grouped(form.populations)
    assert [p.name for p in groups.populations] == ["n group 0", "n group 1"]
    assert sorted(int(rows[0]) for _, rows in groups.members["n"]) == [0, 1]
    for p in groups.populations:
        _, rows = next(m for m in groups.members["n"] if m[0] == p.name)
        np.testing.assert_array_equal(
            p.synapses[0].weight, form.populations[0].synapses[0].weight[rows]
        )
        assert p.decay == form.populations[0].decay[rows]
    recorded = {name: np.full((1, 2, len(rows)), rows[0]) for name, rows in groups.members["n"]}
    np.testing.assert_array_equal(groups.joined(recorded)["n"], [[[0, 1], [0, 1]]])


def test_reset_by_subtraction_is_refused_in_lava():
    network = lower(small(lif()), DT, "subtract")
    for name in ("lava_float", "lava_fixed"):
        with pytest.raises(UserError, match="n: reset by subtraction"):
            simulate(network, {"in": np.ones((1, 4, 2))}, name, grids={"in": 1.0})


def test_a_graded_edge_is_refused_in_lava():
    two = np.full(2, 2.0)
    li = nir.LI(two * DT, two, np.zeros(2))
    graph = small(li, ("w2", nir.Linear(np.eye(2))), ("m", lif()))
    refused_by_lava(graph, "m: receives the membrane of 'n'")


def test_a_cuba_reset_is_refused_in_lava():
    one, two = np.ones(2), np.full(2, 2.0)
    cuba = nir.CubaLIF(two * DT, two * DT, two, one * 0, one, -one, two)
    refused_by_lava(small(cuba), "n: v_reset = -1 on a CubaLIF")


def test_a_current_leaks_one_4096th_more_than_du():
    one, two = np.ones(2), np.full(2, 2.0)
    for tau_syn, du in ((two, 2047), (one, 4095), (one * 4096, 0)):
        cuba = nir.CubaLIF(tau_syn * DT, two * DT, two, one * 0, one, one * 0, tau_syn)
        assert quantise(lower(small(cuba), DT), {"in": 1.0}).populations[0].du == du


def test_no_memory_is_refused_in_fixed_point():
    network = lower(small(nir.Threshold(np.ones(2))), DT)
    with pytest.raises(UserError, match="n: decay 1 is 4096/4096"):
        quantise(network, {"in": 1.0})


@pytest.mark.parametrize("sign", [1, -1])
def test_a_readout_that_leaves_24_bits_is_refused(sign: int):
    li = nir.LI(np.full(2, 2 * DT), np.full(2, 2.0), np.zeros(2))
    integers = quantise(lower(small(li), DT), {"in": 1.0})
    with pytest.raises(UserError, match="n: its membrane leaves 24 bits"):
        reference_int(integers, {"in": np.full((1, 4, 2), sign * 120_000.0)})


def test_a_membrane_is_not_read_from_lavas_own_runtime():
    li = nir.LI(np.full(2, 2 * DT), np.full(2, 2.0), np.zeros(2))
    with pytest.raises(UserError, match=r"n: is read by its membrane.*--runtime inline"):
        lava_float(lower(small(li), DT), {"in": np.ones((1, 4, 2))}, "process")


def test_reset_and_leak_by_hand():
    """lava_form of one neuron: W' = gain·W, θ' = θ − v_reset, b' = decay·(v_leak − v_reset)."""
    changes = {"v_leak": np.full(2, 0.5), "v_reset": np.full(2, -1.0), "r": np.full(2, 3.0)}
    form = lava_form(lower(small(lif(**changes)), DT))
    (p,) = form.populations
    np.testing.assert_array_equal(p.synapses[0].weight, 1.5 * np.eye(2))
    np.testing.assert_array_equal(p.v_threshold, [2, 2])
    np.testing.assert_array_equal(p.bias, [0.75, 0.75])
    np.testing.assert_array_equal(p.synapses[1].weight, [[0.5], [0.5]])  # (1 − decay)·−v_reset
    first = constants(form.populations, 2, 3)
    assert set(first) == {START}
    np.testing.assert_array_equal(first[START][..., 0], [[1, 0, 0], [1, 0, 0]])
