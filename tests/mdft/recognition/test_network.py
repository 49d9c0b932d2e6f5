"""A trainable graph: its spikes are those of the graph it writes, and its gradients exist."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.reference_float import reference_float
from mdft.errors import UserError
from mdft.lif.grid import FEWEST_BITS, MOST_BITS, Arithmetic
from mdft.lif.loihi import largest_multiple
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import parse_layers
from mdft.recognition.network import SpikingGraph
from mdft.recognition.weights import Weights

SHAPE = (2, 9, 9)


def full(shape: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def neuron(kind: str, size: int, random: np.random.Generator) -> nir.NIRNode:
    """Neurons that differ from each other in every constant."""
    threshold, zeros = random.uniform(0.5, 1.5, size), np.zeros(size)
    tau = random.uniform(2e-4, 2e-3, size)
    if kind == "IF":
        return nir.IF(r=full(size, 1e4), v_threshold=threshold, v_reset=zeros)
    rest = {"v_leak": zeros, "v_threshold": threshold, "v_reset": zeros, "r": tau / 1e-4}
    if kind == "LIF":
        return nir.LIF(tau=tau, **rest)
    slow = random.uniform(2e-4, 2e-3, size)
    return nir.CubaLIF(tau_mem=tau, tau_syn=slow, w_in=slow / 1e-4, **rest)


def recurrent(kind: str, seed: int = 0) -> nir.NIRGraph:
    """input → affine → neurons ⇄ affine, → affine → neurons → output."""
    random = np.random.default_rng(seed)
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "first": nir.Affine(random.normal(0, 0.6, (8, 6)), random.normal(0, 0.1, 8)),
        "hidden.lif": neuron(kind, 8, random),
        "hidden.back": nir.Affine(random.normal(0, 0.3, (8, 8)), random.normal(0, 0.05, 8)),
        "last": nir.Linear(random.normal(0, 0.6, (3, 8))),
        "out": neuron(kind, 3, random),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [
        ("input", "first"),
        ("first", "hidden.lif"),
        ("hidden.lif", "hidden.back"),
        ("hidden.back", "hidden.lif"),
        ("hidden.lif", "last"),
        ("last", "out"),
        ("out", "output"),
    ]
    return nir.NIRGraph(nodes, edges, type_check=False)


def convolutional() -> nir.NIRGraph:
    return initial_graph(parse_layers("4c3s2-p2-3c3-9-C", classes=3), SHAPE, beta=0.75, seed=1)


def averaging() -> nir.NIRGraph:
    """A mean over 2 × 2 spikes before a convolution: a grid of 1/4 of a spike."""
    graph = convolutional()
    graph.nodes["pool_2"] = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    node = graph.nodes["conv_3"]
    assert isinstance(node, nir.Conv2d)
    graph.nodes["conv_3"] = replace(node, weight=4 * node.weight)
    return graph


def image(shape: int | tuple[int, ...]) -> nir.LIF:
    return nir.LIF(
        full(shape, 4e-4), full(shape, 4), full(shape, 0), full(shape, 1), full(shape, 0)
    )


def one_dimensional() -> nir.NIRGraph:
    """A convolution over 20 channels of a sensor without rows, dilated and in two groups."""
    random = np.random.default_rng(5)
    weight = random.normal(0, 0.5, (4, 1, 3)).astype(np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([2, 20])}),
        "conv": nir.Conv1d(20, weight, 2, 2, 2, 2, full(4, 0)),
        "first": image((4, 10)),
        "flatten": nir.Flatten({"input": np.array([4, 10])}, 0, -1),
        "affine": nir.Affine(random.normal(0, 0.5, (3, 40)).astype(np.float32), full(3, 0)),
        "last": image(3),
        "output": nir.Output({"output": np.array([3])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


def same_padding() -> nir.NIRGraph:
    """Even kernels with padding "same": one zero more at the end than in front."""
    random = np.random.default_rng(6)
    weight = random.normal(0, 0.4, (3, 2, 4, 4)).astype(np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([2, 6, 7])}),
        "conv": nir.Conv2d((6, 7), weight, 1, "same", 1, 1, full(3, 0)),
        "first": image((3, 6, 7)),
        "flatten": nir.Flatten({"input": np.array([3, 6, 7])}, 0, -1),
        "affine": nir.Affine(random.normal(0, 0.3, (3, 126)).astype(np.float32), full(3, 0)),
        "last": image(3),
        "output": nir.Output({"output": np.array([3])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


GRAPHS = {
    "one-dimensional": one_dimensional,
    "same padding": same_padding,
    "dense": lambda: initial_graph(parse_layers("12-C", classes=4), SHAPE, beta=0.9375, seed=2),
    "convolutional": convolutional,
    "averaging": averaging,
    "timescales": lambda: initial_graph(
        parse_layers("4c3s2-p2-9-C", 3), SHAPE, beta=(0.9375, 0.75, 0.5), seed=4
    ),
    "recurrent LIF": lambda: recurrent("LIF"),
    "recurrent IF": lambda: recurrent("IF"),
    "recurrent CubaLIF": lambda: recurrent("CubaLIF"),
}


def made(name: str, **given) -> tuple[SpikingGraph, torch.Tensor]:
    """The network with biases that are not 0, and event counts as its input."""
    network = SpikingGraph(GRAPHS[name](), **given)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith("bias") and not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    counts = torch.full((3, 15, network.features), 0.3)
    return network, torch.poisson(counts, generator)


@pytest.mark.parametrize("bits", [FEWEST_BITS, 3, MOST_BITS])
@pytest.mark.parametrize("name", GRAPHS)
def test_spikes_and_membranes_are_those_of_the_integers(name: str, bits: int):
    network, x_BSF = made(name, arithmetic="loihi", bits=bits)
    network.check_exact()
    traces = network.trace(x_BSF)
    integers = quantise(lower(network.trained()), {"input": 1.0})
    found = reference_int(integers, {"input": x_BSF.numpy()})
    fired = 0
    for node, trace in traces.items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[node])
        membranes = found.membrane(node)
        np.testing.assert_array_equal(trace.membranes_BSN, membranes)
        fired += int(trace.spikes_BSN.sum())
    assert fired > 10
    # Nothing but thresholds is rounded, whatever the graph was.
    assert all("threshold" in note for note in integers.notes)


@pytest.mark.parametrize("name", GRAPHS)
def test_float_membranes_are_those_of_the_float_reference(name: str):
    network, x_BSF = made(name, arithmetic="float", bits=8)
    found = reference_float(lower(network.trained()), {"input": x_BSF.numpy()})
    for node, trace in network.trace(x_BSF).items():
        np.testing.assert_allclose(trace.membranes_BSN, found.membranes[node], atol=1e-4)
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[node])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_have_so_many_bits(bits: int):
    network, _ = made("convolutional", bits=bits)
    for module in network.weights.values():
        assert isinstance(module, Weights)
        weight = module.on_grid().weight.detach() / (module.step * module.scale)
        assert torch.equal(weight, weight.round())
        assert 0 < weight.abs().max() <= largest_multiple(bits)


@pytest.mark.parametrize("arithmetic", ["float", "loihi"])
@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_reach_every_parameter(name: str, arithmetic: str):
    network, x_BSF = made(name, arithmetic=arithmetic)
    network.counts(x_BSF).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_one_neuron_by_hand():
    """w = 3/4, β = 1/2, θ = 1: 0.75, 1.125 → spike and reset, 0.75, 1.125 → spike."""
    weight = np.array([[0.75]], np.float32)
    lif = nir.LIF(
        tau=full(1, 2e-4),
        r=full(1, 2),
        v_leak=full(1, 0),
        v_threshold=full(1, 1),
        v_reset=full(1, 0),
    )
    graph = nir.NIRGraph.from_list(nir.Linear(weight), lif)
    trace = SpikingGraph(graph, arithmetic="loihi").trace(torch.ones(1, 4, 1))["lif"]
    assert trace.membranes_BSN.flatten().tolist() == [0.75, 1.125, 0.75, 1.125]
    assert trace.spikes_BSN.flatten().tolist() == [0, 1, 0, 1]


def test_the_gain_of_neurons_moves_into_the_weights():
    """r·dt/τ = 1/4 with the weight 2 is the weight 1/2 with r·dt/τ = 1."""
    lif = nir.LIF(
        tau=full(1, 4e-4),
        r=full(1, 1),
        v_leak=full(1, 0),
        v_threshold=full(1, 1),
        v_reset=full(1, 0),
    )
    graph = nir.NIRGraph.from_list(nir.Linear(full((1, 1), 2)), lif)
    network = SpikingGraph(graph, arithmetic="loihi")
    assert network.trace(torch.ones(1, 2, 1))["lif"].membranes_BSN[0, 0] == 0.5
    written = network.trained()
    linear, neurons = written.nodes["linear"], written.nodes["lif"]
    assert isinstance(linear, nir.Linear) and isinstance(neurons, nir.LIF)
    assert linear.weight == 0.5 and neurons.r == 4
    x = np.ones((1, 6, 1))
    before, after = (reference_float(lower(g), {"input": x}) for g in (graph, written))
    np.testing.assert_array_equal(before.membranes["lif"], after.membranes["lif"])


def test_what_is_written_reads_back_as_the_same_network(tmp_path: Path):
    network, x_BSF = made("recurrent CubaLIF", arithmetic="loihi")
    nir.write(tmp_path / "a.nir", network.trained())
    again = SpikingGraph(nir.read(tmp_path / "a.nir"), arithmetic="loihi")
    assert torch.equal(network(x_BSF), again(x_BSF))


def changed(name: str, node: str, other: nir.NIRNode) -> nir.NIRGraph:
    graph = GRAPHS[name]()
    graph.nodes[node] = other
    return graph


def with_leak(value: float) -> nir.NIRGraph:
    graph = GRAPHS["dense"]()
    node = graph.nodes["lif_1"]
    graph.nodes["lif_1"] = replace(node, v_leak=full(12, value))
    return graph


def two_affines() -> nir.NIRGraph:
    one = nir.Affine(full((2, 2), 1), full(2, 0))
    return nir.NIRGraph.from_list(one, nir.Affine(full((2, 2), 1), full(2, 0)), simple())


def simple() -> nir.LIF:
    return nir.LIF(full(2, 2e-4), full(2, 2), full(2, 0), full(2, 1), full(2, 0))


def no_neurons_at_the_end() -> nir.NIRGraph:
    one = nir.Affine(full((2, 2), 1), full(2, 0))
    return nir.NIRGraph.from_list(one, simple(), nir.Affine(full((2, 2), 1), full(2, 0)))


def uneven_gain() -> nir.NIRGraph:
    graph = convolutional()
    node = graph.nodes["lif_1"]
    assert isinstance(node, nir.LIF)
    gain = node.r.copy()
    gain[0] = 1
    graph.nodes["lif_1"] = replace(node, r=gain)
    return graph


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: with_leak(0.5), "'lif_1': v_leak is 0.5, expected 0"),
        (two_affines, "both have weights"),
        (no_neurons_at_the_end, "Output is no node of spiking neurons"),
        (uneven_gain, "differ in r·dt/tau"),
        (
            lambda: changed("dense", "lif_1", nir.LI(full(12, 1), full(12, 1), full(12, 0))),
            "has type LI, expected one of Affine",
        ),
    ],
)
def test_graphs_that_cannot_be_trained(graph, message: str):
    with pytest.raises(UserError, match=message):
        SpikingGraph(graph())


def test_overlapping_windows_before_weights_are_refused():
    """Windows of 3 with stride 1 add weights of one kernel: sums of more than 8 bits."""
    graph = convolutional()
    graph.nodes["pool_2"] = nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]))
    weight = np.zeros((9, 3 * 4 * 4), np.float32)
    weight[:, ::3] = 0.5
    graph.nodes["affine_4"] = nir.Affine(weight, full(9, 0))
    graph.nodes["conv_3"] = replace(graph.nodes["conv_3"], input_shape=np.array([4, 4]))
    lif = graph.nodes["lif_3"]
    assert isinstance(lif, nir.LIF)
    shape = (3, 4, 4)
    graph.nodes["lif_3"] = nir.LIF(
        full(shape, lif.tau[0, 0, 0]),
        full(shape, lif.r[0, 0, 0]),
        full(shape, 0),
        full(shape, 1),
        full(shape, 0),
    )
    graph.nodes["flatten"] = nir.Flatten({"input": np.array(shape)}, 0, -1)
    network = SpikingGraph(graph, arithmetic="loihi")
    with pytest.raises(UserError, match=r"Loihi's integers cannot hold|counts in units"):
        network.check_exact()


def test_weights_that_are_all_rounded_to_zero_are_refused():
    network, x_BSF = made("dense", arithmetic="loihi")
    with torch.no_grad():
        next(network.parameters()).fill_(1e-4)
    with pytest.raises(UserError, match="all weights are rounded to 0"):
        network(x_BSF)


def test_another_number_of_values_is_refused():
    network, _ = made("dense")
    with pytest.raises(ValueError, match=r"expected \(B, S, …\) with 162 values a step"):
        network(torch.zeros(1, 4, 2, 9, 8))


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_the_published_cnn_is_exact(shared_data: Path, bits: int):
    graph = nir.read(shared_data / "nir_paper" / "cnn_sinabs.nir")
    network = SpikingGraph(graph, arithmetic="loihi", bits=bits, dt=1.0)
    network.check_exact()
    generator = torch.Generator().manual_seed(0)
    x_BSF = torch.poisson(torch.full((1, 12, network.features), 0.3), generator)
    integers = quantise(lower(network.trained(), 1.0), {"input": 1.0})
    found = reference_int(integers, {"input": x_BSF.numpy()})
    for node, trace in network.trace(x_BSF).items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[node])


@pytest.mark.parametrize("shape", [(64, 128), (70, 130), (64, 65), (10, 300), (100, 20)])
def test_the_product_is_the_matrix_product_for_every_width(shape: tuple[int, int]):
    N, features = shape
    generator = torch.Generator().manual_seed(0)
    node = nir.Affine(np.zeros(shape, np.float32) + 1, full(N, 0))
    module = Weights("w", node, np.ones(1), 8, 1.0)
    with torch.no_grad():
        module.weight.copy_(torch.rand(shape, generator=generator) - 0.5)
    x_BSF = torch.poisson(torch.full((3, 5, features), 0.05), generator)
    found = module(x_BSF, module.on_grid().weight)
    assert torch.equal(found, x_BSF @ module.on_grid().weight.T)
    weights = torch.randn(found.shape, generator=generator)
    (found * weights).sum().backward()
    assert module.weight.grad is not None
    expected = weights.flatten(0, 1).T @ x_BSF.flatten(0, 1) * module.scale
    np.testing.assert_allclose(module.weight.grad, expected, rtol=1e-4, atol=1e-5)


def unweighted(kind: str) -> nir.NIRGraph:
    """Neurons with r·dt/τ = 1/2 that the Input, a pooling or their own spikes reach directly."""
    half = nir.LIF(full(2, 2e-4), full(2, 1), full(2, 0), full(2, 1), full(2, 0))
    if kind == "from the input":
        return nir.NIRGraph.from_list(half)
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(full((2, 2), 2)),
        "lif": half,
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = list(pairwise(nodes))
    if kind == "to itself":
        return nir.NIRGraph(nodes, [*edges, ("lif", "lif")], type_check=False)
    shape = (1, 2, 2)
    nodes["input"] = nir.Input({"input": np.array(shape)})
    nodes["w"] = nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))
    nodes["lif"] = nir.IF(full((1, 1, 2), 5e3), full((1, 1, 2), 1), full((1, 1, 2), 0))
    nodes["output"] = nir.Output({"output": np.array([1, 1, 2])})
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize("kind", ["from the input", "to itself", "from a pooling"])
def test_a_gain_that_no_weights_can_take_over_is_refused(kind: str):
    with pytest.raises(UserError, match=r"'lif': .* without weights, .*= 0\.5, expected 1; put"):
        SpikingGraph(unweighted(kind))


@pytest.mark.parametrize("arithmetic", ["float", "loihi"])
def test_a_bias_is_kept_up_to_its_largest_and_refused_above(arithmetic: Arithmetic):
    """Weights of 1/64 allow biases up to 1023/4096; a larger one would be cut."""
    for bias, kept in ((1023 / 4096, True), (1024 / 4096, False)):
        node = nir.Affine(full((2, 2), 1 / 64), full(2, bias))
        graph = nir.NIRGraph.from_list(node, simple())
        if not kept:
            with pytest.raises(
                UserError, match=r"'affine': its bias.* reaches 0\.25, expected .* 0\.249756"
            ):
                SpikingGraph(graph, arithmetic=arithmetic)
            continue
        written = SpikingGraph(graph, arithmetic=arithmetic).trained().nodes["affine"]
        assert isinstance(written, nir.Affine) and (written.bias == full(2, bias)).all()


def test_a_leak_of_less_than_a_step_of_loihi_is_refused():
    slow = nir.LIF(full(2, 1), full(2, 1e4), full(2, 0), full(2, 1), full(2, 0))
    graph = nir.NIRGraph.from_list(nir.Linear(full((2, 2), 1)), slow)
    SpikingGraph(graph)
    with pytest.raises(UserError, match=r"its decay is 0/4096 to 0/4096 a step, expected 1 to"):
        SpikingGraph(graph, arithmetic="loihi")
