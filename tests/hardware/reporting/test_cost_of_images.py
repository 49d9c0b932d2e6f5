"""Cost of convolutions, recurrence and delays: by hand, and against the neurobench package."""

from __future__ import annotations

import warnings
from typing import Any

import nir
import numpy as np
import pytest

from hardware.graph.graph import lower
from hardware.reference_float import reference_float
from hardware.reporting.operations import Cost, cost
from tests.hardware.reporting.neurobench_here import neurobench_metrics

DT = 1e-4


def costed(graph: nir.NIRGraph, x: np.ndarray) -> tuple[Cost, dict[str, np.ndarray]]:
    network = lower(graph, DT)
    run = reference_float(network, {"x": x})
    return cost(network, {"x": x}, run.spikes, run.membranes, {"x": 1.0}), run.spikes


def neuron(*shape: int) -> nir.LIF:
    """v ← v/2 + I, a spike above 1."""
    one = np.ones(shape)
    return nir.LIF(2 * DT * one, 2 * one, 0 * one, one)


def test_a_convolution_counted_by_hand():
    """Kernel (2, 0, 3) over four values, one zero on both sides."""
    conv = nir.Conv1d(4, np.array([[[2.0, 0.0, 3.0]]]), 1, 1, 1, 1, np.zeros(1))
    nodes = {
        "x": nir.Input({"input": np.array([1, 4])}),
        "conv": conv,
        "n": neuron(1, 4),
        "out": nir.Output({"output": np.array([1, 4])}),
    }
    graph = nir.NIRGraph(nodes, [("x", "conv"), ("conv", "n"), ("n", "out")], type_check=False)
    found, _ = costed(graph, np.array([[[1, 0, 0, 0], [0, 1, 0, 1]]], float))
    (n,) = found.layers
    # Positions 0 and 3 see two values each, 1 and 2 three: 10 connections, of which the middle
    # of the kernel makes 4.
    assert (n.synapses, n.zero_weights, n.dense_macs) == (10, 4, 20)
    # Value 0 reaches position 1, value 1 positions 0 and 2, value 3 position 2.
    assert (n.effective_acs, n.effective_macs) == (1 + 2 + 1, 0)
    (fit,) = found.fit
    assert (fit.synapse_bits, fit.axons_in) == (10 * 8, 4)  # unshared


def test_recurrent_and_delayed_synapses_counted_by_hand():
    """x → n → n, a step later; x reaches n a second time over Delays of 1 and 3 steps."""
    nodes: dict[str, nir.NIRNode] = {
        "x": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(np.array([[2.0, 2.0]])),
        "late": nir.Delay(DT * np.array([1.0, 3.0])),
        "w_late": nir.Linear(np.array([[0.5, 0.5]])),
        "w_rec": nir.Linear(np.array([[-1.0]])),
        "n": neuron(1),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [
        ("x", "w"), ("w", "n"), ("x", "late"), ("late", "w_late"), ("w_late", "n"),
        ("n", "w_rec"), ("w_rec", "n"), ("n", "out"),
    ]  # fmt: skip
    found, spikes = costed(
        nir.NIRGraph(nodes, edges), np.array([[[1, 1], [0, 0], [0, 1], [0, 1]]], float)
    )
    assert spikes["n"][0, :, 0].tolist() == [1, 0, 1, 1]
    (n,) = found.layers
    # At once: 4 input spikes. Delayed: channel 0 of step 0 arrives at step 1, channel 1 of step 0
    # at step 3; those of steps 2 and 3 after the end. Recurrent: the spikes of steps 0 and 2.
    assert n.effective_acs == 4 + 2 + 2
    assert n.synapses == 2 + 2 + 1
    assert [(t.source, t.layers) for t in found.traffic] == [("x", 1), ("n", 1)]
    (fit,) = found.fit
    assert (fit.axons_in, fit.axons_out) == (2 + 1, 1)
    assert found.depth == 1 + 3


def image_graph(rng: np.random.Generator) -> nir.NIRGraph:
    """(2, 5, 5) → Conv2d → LIF → Flatten → Linear, and a Linear 2 steps late → LIF ⟲.

    Weights are multiples of 1/8, a fifth of them zero: sums are exact in float32, in any order.
    """

    def weights(spread: float, *shape: int) -> np.ndarray:
        w = np.round(rng.normal(0.5, spread, shape)) / 8
        return np.where(rng.random(shape) < 0.2, 0, w).astype(np.float32)

    nodes = {
        "x": nir.Input({"input": np.array([2, 5, 5])}),
        "conv": nir.Conv2d((5, 5), weights(4, 4, 2, 3, 3), 2, 1, 1, 1, np.zeros(4)),
        "n1": neuron(4, 3, 3),
        "flat": nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1),
        "w": nir.Linear(weights(5, 6, 36)),
        "delay": nir.Delay(np.full(36, 2 * DT)),
        "w_late": nir.Linear(weights(5, 6, 36)),
        "n2": neuron(6),
        "w_rec": nir.Linear(weights(6, 6, 6)),
        "out": nir.Output({"output": np.array([6])}),
    }
    edges = [
        ("x", "conv"), ("conv", "n1"), ("n1", "flat"), ("flat", "w"), ("w", "n2"),
        ("flat", "delay"), ("delay", "w_late"), ("w_late", "n2"),
        ("n2", "w_rec"), ("w_rec", "n2"), ("n2", "out"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_neurobench_counts_convolutions_recurrence_and_delays_the_same():
    pytest.importorskip("neurobench", reason="uv pip install --no-deps neurobench")
    rng = np.random.default_rng(4)
    graph = image_graph(rng)
    x = rng.integers(2, 8, (3, 12, 50)) * (rng.random((3, 12, 50)) < 0.4) / 4
    x[:, :, 0] = 1.5  # NeuroBench takes a step of only 0 and 1 for spikes
    found, spikes = costed(graph, x)
    assert all(0.03 < s.mean() < 0.6 for s in spikes.values())
    theirs = neurobench(graph, x, spikes["n2"])
    operations = theirs["SynapticOperations"]
    assert found.total("effective_acs") == pytest.approx(operations["Effective_ACs"])
    assert found.total("effective_macs") == pytest.approx(operations["Effective_MACs"])
    assert operations["Effective_ACs"] > 0 < operations["Effective_MACs"]
    assert found.total("dense_macs") == operations["Dense"]
    assert found.total("membrane_updates") == pytest.approx(theirs["MembraneUpdates"])
    assert found.activation_sparsity == pytest.approx(theirs["ActivationSparsity"])
    # Its connection sparsity counts each weight of a kernel once, ours each connection.
    one, two = found.layers
    conv: Any = graph.nodes["conv"]
    kernel = conv.weight
    zeros = two.zero_weights + int((kernel == 0).sum())
    assert theirs["ConnectionSparsity"] == round(zeros / (two.synapses + kernel.size), 4)
    assert one.synapses == 2 * 4 * 7 * 7  # 2, 3 and 2 of a kernel's 3 rows lie in the image


def neurobench(graph: nir.NIRGraph, x: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """What the package counts on the same network as a module of snnTorch neurons."""
    import torch
    from torch import nn

    with warnings.catch_warnings():  # the package warns of its own imports
        warnings.simplefilter("ignore")
        import snntorch
    n: dict[str, Any] = graph.nodes

    def linear(name: str) -> nn.Linear:
        layer = nn.Linear(*n[name].weight.shape[::-1], bias=False)
        layer.weight.data = torch.from_numpy(n[name].weight)
        return layer

    def leaky() -> Any:
        zero: dict[str, Any] = {"reset_mechanism": "zero", "reset_delay": False}
        return snntorch.Leaky(0.5, init_hidden=True, **zero)

    class Net(nn.Module):
        """A step of the graph; it keeps the spikes of the steps before."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
            self.conv.weight.data = torch.from_numpy(n["conv"].weight)
            self.w, self.w_late, self.w_rec = linear("w"), linear("w_late"), linear("w_rec")
            self.n1, self.n2 = leaky(), leaky()

        def reset(self) -> None:
            self.n1.reset_mem()
            self.n2.reset_mem()
            self.sent = [torch.zeros(len(x), 36)] * 2
            self.last = torch.zeros(len(x), 6)

        def forward(self, step: Any) -> Any:
            self.sent.append(self.n1(self.conv(step.reshape(-1, 2, 5, 5))).flatten(1))
            current = self.w(self.sent[-1]) + self.w_late(self.sent[-3]) + self.w_rec(self.last)
            self.last = self.n2(current)
            return self.last, None

    return neurobench_metrics(Net(), x.astype(np.float32), expected)
