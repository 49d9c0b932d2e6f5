"""Convolutions, pooling, delays, cycles and mixed neurons against plain loops, and in Lava."""

from __future__ import annotations

import warnings
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import simulate
from hardware.graph.graph import lower, read_network
from hardware.graph.network import Recording
from hardware.lava.plan import plan_float
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware import plain_nir
from tests.hardware.images_and_cycles import DT, lava_can, random_chain, spikes_in


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), subtracts=st.booleans())
def test_the_float_reference_is_the_plain_loop(seed: int, subtracts: bool):
    graph, late = random_chain(seed)
    inputs = spikes_in(graph, seed, batch=1)
    values, membranes = plain_nir.run(graph, inputs, DT, late, subtracts)
    found = reference_float(lower(graph, DT, "subtract" if subtracts else "to-value"), inputs)
    for name, spikes in found.spikes.items():
        np.testing.assert_allclose(found.membranes[name], membranes[name], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(spikes, values[name], err_msg=name)


@pytest.mark.parametrize("seed", range(12))
def test_a_file_gives_what_the_graph_gives(tmp_path: Path, seed: int):
    graph, _ = random_chain(seed)
    nir.write(tmp_path / "g.nir", graph)
    inputs = spikes_in(graph, seed)
    one = reference_float(lower(graph, DT), inputs)
    two = reference_float(read_network(tmp_path / "g.nir", DT), inputs)
    assert list(one.spikes) == list(two.spikes)
    for name, spikes in one.spikes.items():
        np.testing.assert_array_equal(spikes, two.spikes[name])


def run(backends: tuple[str, ...], seed: int, mixed: bool, batch: int) -> tuple[list, list]:
    """Return the recordings of the backends, and the edges that close a cycle.

    There are no recordings of a graph with a cycle of more layers than steps: it is refused.
    """
    graph, late = random_chain(seed, mixed)
    network, inputs = lower(graph, DT), spikes_in(graph, seed, batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if not lava_can(graph, late):
            with pytest.raises(UserError, match="Lava takes a step for each layer"):
                simulate(network, inputs, backends[0])
            return [], late
        return [simulate(network, inputs, backend) for backend in backends], late


def equal_spikes(one: Recording, other: Recording, seed: int) -> None:
    assert set(one.spikes) == set(other.spikes) and set(one.membranes) == set(other.membranes)
    for name, spikes in other.spikes.items():
        np.testing.assert_array_equal(one.spikes[name], spikes, err_msg=f"{seed} {name}")


@pytest.mark.lava
def test_lava_float_gives_the_spikes_of_the_reference():
    ran = 0
    for seed in range(12):
        found, _ = run(("lava_float", "reference_float"), seed, mixed=seed % 2 == 0, batch=2)
        if found:
            ran += 1
            equal_spikes(found[0], found[1], seed)
    assert ran >= 6


@pytest.mark.lava
@pytest.mark.parametrize("wanted", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_lava_fixed_gives_the_spikes_and_membranes_of_the_integers(wanted: int):
    """The first graphs that Lava can express, with 0 spikes and 0 membranes that differ."""
    ran = recurrent = mixed = long = refused = seed = 0
    while ran < wanted:
        found, late = run(("lava_fixed", "reference_int"), seed, seed % 2 == 0, 1 + seed % 2)
        if found:
            ran, recurrent = ran + 1, recurrent + bool(late)
            mixed += "groups of equal constants" in found[0].counts
            long += any(before.startswith("d_") for before, _ in late)
            equal_spikes(found[0], found[1], seed)
            for name, membranes in found[1].membranes.items():
                np.testing.assert_array_equal(found[0].membranes[name], membranes)
        refused, seed = refused + (not found), seed + 1
    assert recurrent > ran // 2 and mixed > ran // 4 and long > ran // 20 and refused > 0


def cycle_of_three(delays: dict[str, int]) -> nir.NIRGraph:
    """x → a → b → c → a, with Delays of so many steps after the named layers."""
    one = np.ones(1)
    nodes: dict[str, nir.NIRNode] = {
        "x": nir.Input({"input": np.array([1])}),
        "out": nir.Output({"output": np.array([1])}),
        "back": nir.Linear(np.array([[0.5]])),
    }
    nodes |= {name: nir.LIF(2 * DT * one, 2 * one, 0 * one, one / 2) for name in "abc"}
    edges = [("x", "a"), ("c", "out"), ("back", "a")]
    for before, after in (("a", "b"), ("b", "c"), ("c", "back")):
        edges.append((before, after))
        if before in delays:
            nodes[f"d{before}"] = nir.Delay(DT * delays[before] * one)
            edges[-1:] = [(before, f"d{before}"), (f"d{before}", after)]
    return nir.NIRGraph(nodes, edges)


def test_lava_refuses_a_cycle_that_is_shorter_than_its_layers():
    x = {"x": np.ones((1, 3, 1))}
    with pytest.raises(UserError) as caught:
        plan_float(lower(cycle_of_three({"b": 1}), DT), x)
    assert str(caught.value) == (
        "a -> b -> c -> a: a cycle of 3 layers that delivers 2 steps later; Lava takes a step for "
        "each layer, expected Delays of 1 steps more"
    )


@pytest.mark.parametrize(
    ("delays", "depths"),
    [({"c": 2}, [1, 2, 3]), ({"a": 2}, [2, 1, 2]), ({"a": 1, "b": 1}, [1, 1, 1])],
)
def test_a_delay_anywhere_in_the_cycle_makes_room_for_its_layers(
    delays: dict[str, int], depths: list[int]
):
    plan = plan_float(lower(cycle_of_three(delays), DT), {"x": np.ones((1, 3, 1))})
    assert [lif.depth for lif in plan.lifs] == depths
    assert all(d.delay >= 0 for lif in plan.lifs for d in lif.dense)


def test_a_note_says_which_edges_deliver_a_step_later():
    assert lower(cycle_of_three({}), DT).notes == (
        "edges that close a cycle deliver one step later: back -> a",
    )
    nodes: dict[str, nir.NIRNode] = {"x": nir.Input({"input": np.array([1])})}
    one, edges = np.ones(1), []
    for i in range(6):
        nodes |= {f"n{i}": nir.LIF(2 * DT * one, 2 * one, 0 * one, one)}
        nodes |= {f"w{i}": nir.Linear(np.ones((1, 1)))}
        nodes |= {f"o{i}": nir.Output({"output": np.array([1])})}
        edges += [("x", f"n{i}"), (f"n{i}", f"w{i}"), (f"w{i}", f"n{i}"), (f"n{i}", f"o{i}")]
    (note,) = lower(nir.NIRGraph(nodes, edges), DT).notes
    assert note.endswith("w0 -> n0, w1 -> n1, w2 -> n2, w3 -> n3 and 2 more")
