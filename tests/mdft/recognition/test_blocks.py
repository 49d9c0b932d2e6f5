"""Convolution, neurons and pooling in one pass: where it is taken, and that it changes nothing."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
import torch

from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from mdft.lif.grid import Arithmetic
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import parse_layers
from mdft.recognition.network import SpikingGraph

SHAPE = (2, 12, 12)


def graph(layers: str = "8c5s2-p2-6c3-30-C") -> nir.NIRGraph:
    return initial_graph(parse_layers(layers, classes=3), SHAPE, beta=0.9375, seed=2)


def events(rate: float = 0.15) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.poisson(torch.full((3, 15, *SHAPE), rate), generator)


def without_blocks(network: SpikingGraph) -> SpikingGraph:
    network.blocks = {}
    return network


def test_the_blocks_of_a_graph():
    network = SpikingGraph(graph("8c5s2-p2-6c3-4c3-p3-9-C"))
    blocks = {name: (block.conv, block.pool) for name, block in network.blocks.items()}
    assert blocks == {
        "lif_1": ("conv_1", "pool_2"),
        "lif_3": ("conv_3", None),
        "lif_4": ("conv_4", "pool_5"),
    }


@pytest.mark.parametrize(
    ("node", "changes"),
    [
        ("conv_1", {"dilation": np.array([2, 2]), "padding": np.array([4, 4])}),
        ("lif_1", {"v_threshold": np.linspace(1, 2, 8 * 6 * 6).reshape(8, 6, 6)}),
    ],
)
def test_other_nodes_form_no_block(node: str, changes: dict):
    other = graph()
    other.nodes[node] = replace(other.nodes[node], **changes)
    assert "lif_1" not in SpikingGraph(other).blocks


def test_overlapping_windows_and_means_stay_outside():
    for pool in (
        nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1])),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    ):
        other = graph("8c5s2-p2-C")
        other.nodes["pool_2"] = pool
        side = {1: 5, 2: 3}[int(pool.stride[0])]
        if pool.padding.any():
            side = 4
        other.nodes["flatten"] = nir.Flatten({"input": np.array([8, side, side])}, 0, -1)
        affine = nir.Affine(np.ones((3, 8 * side**2), np.float32), np.zeros(3, np.float32))
        other.nodes["affine_3"] = affine
        assert SpikingGraph(other).blocks["lif_1"].pool is None


def test_spikes_that_something_else_reads_too_are_kept():
    other = graph("8c5s2-p2-C")
    affine = nir.Affine(np.ones((3, 8 * 36), np.float32), np.zeros(3, np.float32))
    other.nodes["all"] = nir.Flatten({"input": np.array([8, 6, 6])}, 0, -1)
    other.nodes["second"] = affine
    edges = [*other.edges, ("lif_1", "all"), ("all", "second"), ("second", "lif_3")]
    network = SpikingGraph(nir.NIRGraph(other.nodes, edges, type_check=False))
    assert network.blocks["lif_1"].pool is None
    assert torch.equal(network(events()), without_blocks(network)(events()))


@pytest.mark.parametrize("arithmetic", ["float", "loihi"])
@pytest.mark.parametrize("rate", [0.15, 1.0])
def test_spikes_and_gradients_are_those_without_blocks(arithmetic: Arithmetic, rate: float):
    x_BSX, found = events(rate), []
    for change in (lambda x: x, without_blocks):
        network = change(SpikingGraph(graph(), arithmetic=arithmetic))
        out_BSN = network(x_BSX)
        out_BSN.sum(1).square().sum().backward()
        traces = network.trace(x_BSX)
        assert torch.equal(traces["lif_5"].spikes_BSN, out_BSN)
        found.append((traces, [p.grad for p in network.parameters()]))
    (ours, gradients), (theirs, others) = found
    for name, trace in theirs.items():
        assert trace.spikes_BSN.any()
        assert all(torch.equal(a, b) for a, b in zip(ours[name], trace, strict=True))
    for a, b in zip(gradients, others, strict=True):
        assert a is not None and b is not None and b.any()
        assert (a - b).abs().max() < 2e-6 * b.abs().max()


def test_spikes_of_few_events_are_those_of_the_integers():
    network, x_BSX = SpikingGraph(graph(), arithmetic="loihi"), events()
    names = set()
    pending = [network(x_BSX).grad_fn]
    while pending:
        node = pending.pop()
        if node is not None:
            names.add(node.name())
            pending += [n for n, _ in node.next_functions]
    assert "_ConvLIFBackward" in names
    integers = quantise(lower(network.trained()), {"input": 1.0})
    found = reference_int(integers, {"input": x_BSX.flatten(2).numpy()})
    for name, trace in network.trace(x_BSX).items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[name])
        membranes = found.membrane(name)
        np.testing.assert_array_equal(trace.membranes_BSN, membranes)


@pytest.mark.parametrize("layers", ["8c5s2-p2-6c3-30-C", "p2-8c3-C", "70-C", "9-C"])
@pytest.mark.parametrize("rate", [0.05, 1.0])
def test_counts_of_events_may_be_bytes(layers: str, rate: float):
    network, x_BSX = SpikingGraph(graph(layers)), events(rate)
    assert torch.equal(network(x_BSX.byte()), network(x_BSX))


def test_bytes_that_are_added_do_not_wrap_around():
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "a": nir.Flatten({"input": np.array([1])}, 0, -1),
        "b": nir.Flatten({"input": np.array([1])}, 0, -1),
        "affine": nir.Affine(np.full((1, 1), 1 / 64, np.float32), np.zeros(1, np.float32)),
        "lif": initial_graph(parse_layers("C", 1), (1, 1, 1), beta=0.75).nodes["lif_1"],
        "output": nir.Output({"output": np.array([1])}),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "affine"), ("b", "affine")]
    edges += [("affine", "lif"), ("lif", "output")]
    network = SpikingGraph(nir.NIRGraph(nodes, edges, type_check=False))
    trace = network.trace(torch.full((1, 1, 1), 200, dtype=torch.uint8))["lif"]
    assert trace.membranes_BSN.item() == 400 / 64
