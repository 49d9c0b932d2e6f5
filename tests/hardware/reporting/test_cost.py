"""Cost: hand-computed networks, plain loops, and the neurobench package where it is installed."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from hardware.graph.graph import lower
from hardware.graph.network import Network, Population, Recording, Synapses
from hardware.reference_float import reference_float
from hardware.reporting.operations import Cost, EnergyModel, cost
from tests.hardware.nets import grids, random_graph, random_inputs
from tests.hardware.reporting.neurobench_here import neurobench_metrics


def population(
    name: str, weight: list | np.ndarray, source: str, bias: float = 0.0, decay: float = 0.5
):
    matrix = np.array(weight, float)
    return Population(
        name,
        (Synapses(source, matrix, name),),
        bias=np.full(len(matrix), bias),
        decay=np.full(len(matrix), decay),
        gain=np.ones(len(matrix)),
        v_leak=np.zeros(len(matrix)),
        v_reset=np.zeros(len(matrix)),
        v_threshold=np.ones(len(matrix)),
    )


def chain(first: list, second: list, **changes) -> Network:
    width = len(first[0])
    one, two = population("one", first, "x", **changes), population("two", second, "one")
    return Network({"x": width}, (one, two), {"out": "two"}, 1e-4)


def costed(network: Network, x: list, **changes) -> tuple[Cost, Recording]:
    inputs = {"x": np.array(x, float)}
    found = reference_float(network, inputs)
    return cost(network, inputs, found.spikes, found.membranes, {"x": 1.0}, **changes), found


def test_a_network_counted_by_hand():
    # one: neuron 0 sees both inputs, neuron 1 only the first, neuron 2 nothing.
    network = chain([[2, 2], [2, 0], [0, 0]], [[2, 0, 0]])
    found, run = costed(network, [[[1, 0], [0, 1], [0, 0]]])
    assert run.spikes["one"][0].tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert run.spikes["two"][0].tolist() == [[1], [1], [0]]
    one, two = found.layers
    # step 0: input 0 has weights to neurons 0 and 1; step 1: input 1 to neuron 0.
    assert (one.effective_acs, one.effective_macs) == (2 + 1, 0)
    assert (one.synapses, one.zero_weights, one.dense_macs) == (6, 3, 6 * 3)
    # the spikes of neuron 0 go on, those of neuron 1 meet a zero.
    assert (two.effective_acs, two.dense_macs, two.zero_weights) == (2, 3 * 3, 2)
    assert one.activation_sparsity == pytest.approx(6 / 9)
    assert found.activation_sparsity == pytest.approx(1 - 5 / 12)
    assert found.connection_sparsity == pytest.approx(5 / 9)
    # a membrane that fires is back at 0: the first step counts whole, then nothing changes.
    assert (one.membrane_updates, two.membrane_updates) == (3, 1)
    assert found.depth == 2 and found.latency_steps == 3 + 2


def test_a_leaking_membrane_is_an_update_and_graded_inputs_are_multiplied():
    network = chain([[0.5]], [[1]])
    found, run = costed(network, [[[0.5], [0], [0], [0]]] * 2)
    assert not run.spikes["one"].any()
    assert found.layers[0].membrane_updates == 4  # 0.25, 0.125, …
    assert found.layers[1].membrane_updates == 1
    assert (found.layers[0].effective_macs, found.layers[0].effective_acs) == (1, 0)
    assert found.total("effective_macs") == 1 and found.samples == 2
    assert found.modelled_nj == pytest.approx(4.6e-3)
    assert found.modelled_dense_nj == pytest.approx(4.6e-3 * 8)


def test_a_spike_that_subtracts_the_threshold_leaves_a_membrane_that_changes():
    network = chain([[3]], [[0]])
    one, two = network.populations
    x = [[[1]] * 8]
    found, run = costed(replace(network, populations=(replace(one, subtracts=True), two)), x)
    # v before the reset is 3, then (v - 1)/2 + 3: 4, 4.5, 4.75, … never twice the same.
    assert run.membranes["one"][0, :3, 0].tolist() == [3, 4, 4.5]
    assert found.layers[0].membrane_updates == 8
    assert costed(network, x)[0].layers[0].membrane_updates == 1


def test_energy_is_the_proxy_of_its_constants():
    found, _ = costed(chain([[2, 2]], [[2]]), [[[1, 1], [1, 0]]])
    assert found.total("effective_acs") == 3 + 2
    assert found.modelled_nj == pytest.approx(0.9e-3 * 5)
    assert replace(found, energy=EnergyModel(2.0, 3.0, "ours")).modelled_nj == pytest.approx(1e-2)


def test_traffic_counts_messages_and_their_bits():
    weight = [[0.0] * 4] * 2
    network = chain(weight, [[1, 1]], bias=3.0)  # fires always
    network = replace(
        network, populations=(*network.populations, population("three", [[1] * 4], "x"))
    )
    x = [[[0, 5, -2, 0], [1, 0, 0, 0]], [[0, 0, 0, 0], [3, 3, 3, -12]]]
    found, _ = costed(network, x)
    given, one, *_ = found.traffic
    assert (given.source, given.channels, given.layers) == ("x", 4, 2)
    assert given.messages == (2 + 1 + 0 + 4) / 4
    assert given.payload_bits == 4 + 1  # up to 12, signed
    assert (one.messages, one.payload_bits, one.layers) == (2, 0, 1)


def test_a_sign_is_a_bit_and_a_membrane_has_no_grid():
    graded = replace(population("one", [[0.3]], "x"), fires=False)
    network = Network({"x": 1}, (graded, population("two", [[1]], "one")), {"out": "two"}, 1e-4)
    found, _ = costed(network, [[[1], [-1], [0]]])
    assert [t.payload_bits for t in found.traffic] == [2, None, 0]


def loops(network: Network, signals: dict, membranes: dict) -> tuple[float, float, int]:
    """ACs and MACs and updates, one synapse at a time."""
    acs = macs = updates = 0
    for p in network.populations:
        for s in p.synapses:
            x = signals[s.source]
            graded = any(v not in (0.0, 1.0, -1.0) for v in x.ravel().tolist())
            for m in np.nonzero(x)[2]:
                count = sum(1 for w in s.weight[:, m] if w)
                macs, acs = macs + count * graded, acs + count * (not graded)
        for b in range(len(membranes[p.name])):
            for n in range(p.size):
                before = None
                for t, u in enumerate(membranes[p.name][b, :, n]):
                    kept = 0.0 if signals[p.name][b, t, n] else u
                    updates += before is None or kept != before
                    before = kept
    return acs, macs, updates


def test_a_random_network_agrees_with_plain_loops():
    rng = np.random.default_rng(3)
    network, inputs = lower(random_graph(rng, 12, 10, 3)), random_inputs(rng, 12)
    run = reference_float(network, inputs)
    found = cost(network, inputs, run.spikes, run.membranes, grids())
    acs, macs, updates = loops(network, {**inputs, **run.spikes}, run.membranes)
    assert acs > 0 and macs > 0
    assert found.total("effective_acs") * 3 == pytest.approx(acs)
    assert found.total("effective_macs") * 3 == pytest.approx(macs)
    assert found.total("membrane_updates") * 3 == pytest.approx(updates)
    names = [t.source for t in found.traffic]
    assert names == ["events", "threshold_current", "lif_1", "lif_2", "lif_3"]
    assert found.traffic[1].layers == 3  # the threshold goes to every layer


def test_neurobench_counts_the_same():
    reason = "neurobench is absent: uv pip install --no-deps neurobench"
    pytest.importorskip("neurobench", reason=reason)
    rng = np.random.default_rng(5)
    weights = [
        np.where(rng.random(shape) < 0.2, 0, rng.normal(0, 8, shape).round() / 8)
        for shape in ((16, 12), (16, 16), (8, 16))
    ]
    one, two = population("a", weights[0], "x"), population("b", weights[1], "a")
    network = Network({"x": 12}, (one, two, population("c", weights[2], "b")), {"out": "c"}, 1e-4)
    x = (rng.integers(2, 60, (4, 9, 12)) * (rng.random((4, 9, 12)) < 0.5) / 16).astype(np.float32)
    x[:, :, 0] = 1.5  # NeuroBench takes a step of only 0 and 1 for spikes
    run = reference_float(network, {"x": x}, np.float32)
    assert all(0.02 < s.mean() < 0.6 for s in run.spikes.values())
    found = cost(network, {"x": x}, run.spikes, run.membranes, {"x": 1 / 16})
    theirs = neurobench(weights, x, run.spikes["c"])
    operations = theirs["SynapticOperations"]
    assert found.total("effective_acs") == operations["Effective_ACs"] > 0
    assert found.total("effective_macs") == operations["Effective_MACs"] > 0
    assert found.total("dense_macs") == operations["Dense"]
    assert found.total("membrane_updates") == theirs["MembraneUpdates"]
    assert found.activation_sparsity == pytest.approx(theirs["ActivationSparsity"])
    assert round(found.connection_sparsity, 4) == theirs["ConnectionSparsity"] > 0


def neurobench(weights: list, x: np.ndarray, expected: np.ndarray) -> dict:
    """What the package says of the same network as snnTorch neurons."""
    import torch
    from torch import nn

    with warnings.catch_warnings():  # the package warns of its own imports
        warnings.simplefilter("ignore")
        import snntorch
    parts = []
    for weight in weights:
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data = torch.from_numpy(weight.astype(np.float32))
        leaky = snntorch.Leaky(
            0.5, 1.0, init_hidden=True, reset_mechanism="zero", reset_delay=False
        )
        parts += [linear, leaky]
    parts[-1].output = True
    return neurobench_metrics(nn.Sequential(*parts), x, expected)
