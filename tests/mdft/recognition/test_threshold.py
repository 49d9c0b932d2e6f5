"""The moving threshold of recordings: its statistic, its spikes, and the graph that it becomes."""

from __future__ import annotations

import math

import nir
import numpy as np
import pytest
import torch

from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.graph.matrices import times
from hardware.graph.network import Network
from hardware.reference_float import reference_float
from mdft.config.recordings import RecognitionConfig
from mdft.data.recordings.prepared import Prepared, Recordings
from mdft.errors import UserError
from mdft.lif.grid import GRID
from mdft.lif.neuron import threshold_current
from mdft.model.threshold import omega
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import parse_layers
from mdft.recognition.network import SpikingGraph
from mdft.recognition.run import build
from mdft.recognition.threshold import CURRENT, MovingThreshold, event_omega

SHAPE, BETA = (2, 9, 9), 0.75
LAYERS = {"dense": "12-C", "convolutional": "4c3s2-p2-3c3-9-C"}
BIN = [2.0, 1.0, 1.0, 0.0]


def moving(name: str, **given) -> SpikingGraph:
    """A network whose layers all fire, with biases that are not 0."""
    graph = initial_graph(parse_layers(LAYERS[name], classes=3), SHAPE, beta=BETA, seed=2)
    given = {"threshold": MovingThreshold(BETA), "headroom": 4.0, **given}
    network = SpikingGraph(graph, **given)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
            else:
                parameter.mul_(2.5)
    return network


def counts(seed: int = 0, steps: int = 15) -> torch.Tensor:
    """Event counts whose number changes from bin to bin; some bins are empty."""
    generator = torch.Generator().manual_seed(seed)
    rates = 0.8 * torch.rand(3, steps, 1, 1, 1, generator=generator)
    rates[:, 4] = 0
    return torch.poisson(rates.expand(3, steps, *SHAPE), generator)


def test_the_statistic_by_hand():
    """Four values, 4 events: N = 1/2, 1/4, 1/4, 0; ω = (log(2 + 2)/2 + 2 log(4 + 1)/4)/log 4."""
    x_BSD = torch.tensor([[BIN, [0.0] * 4]])
    expected = (0.5 * math.log(4) + 0.5 * math.log(5)) / math.log(4)
    found = event_omega(x_BSD)
    assert found.dtype == torch.float64 and found.shape == (1, 2, 1)
    assert found.flatten().tolist() == pytest.approx([expected, 0.0], rel=1e-15)
    # φ = σ(4/4), and θ* is (φ + ω)·0.75; the empty bin has σ(0)·0.75.
    phi = 1 / (1 + math.exp(-1))
    threshold = MovingThreshold(0.5, theta_0=0.75, theta_min=0.25, theta_max=2.0)
    wanted = 0.75 * (phi + expected)
    assert threshold.equation_7(x_BSD).flatten().tolist() == pytest.approx([wanted, 0.375])
    # b is rounded to 64ths: −δ, then δ/2 − (0.375 − 0.75), whose rounding remains in δ.
    delta = round(64 * (wanted - 0.75)) / 64
    second = round(64 * (delta / 2 + 0.375)) / 64
    assert threshold.current(x_BSD).flatten().tolist() == [-delta, second]
    assert threshold.theta(x_BSD).flatten().tolist() == [0.75 + delta, 0.75 + delta / 2 - second]


def test_it_is_equation_7_of_the_model_for_the_shares_of_events():
    """The softmax of log E is E / Σ E, so that omega of the model is the same number."""
    x_BSD = counts().flatten(2).double()
    kept = x_BSD.sum(-1) > 0
    expected = omega(x_BSD.log()[kept][None], x_BSD[kept][None])
    np.testing.assert_allclose(event_omega(x_BSD)[kept], expected[0], rtol=1e-13)
    assert 0 < kept.sum() < kept.numel() and event_omega(x_BSD)[~kept].unique().tolist() == [0.0]


def test_more_events_and_more_places_raise_the_threshold():
    def theta(*bin_D: int) -> float:
        x_BSD = torch.zeros(1, 1, 2312)
        x_BSD[0, 0, : len(bin_D)] = torch.tensor(bin_D, dtype=torch.float32)
        return MovingThreshold(0.5).equation_7(x_BSD).item()

    assert theta() == 0.5 < theta(1) < theta(*[1] * 10) < theta(*[1] * 100)
    assert theta(*[1] * 100) < theta(*[8] * 100) < theta(*[8] * 1000) <= 2.0


def test_where_the_events_are_does_not_matter():
    """A mirrored recording has the threshold of the recording, as float64 sums differ in order."""
    x_BSX, threshold = counts(), MovingThreshold(BETA)
    assert torch.equal(threshold.theta(x_BSX), threshold.theta(x_BSX.flip(2, 3, 4)))
    assert len(threshold.theta(x_BSX).unique()) > 10


def test_constant_events_give_a_constant_threshold():
    """θ(t) stays within 1/128 of it, the rounding of the current; an empty bin's is exact."""
    x_BSX = torch.zeros(2, 40, 162)
    x_BSX[1, :, :40] = 2
    threshold = MovingThreshold(BETA)
    wanted, theta = threshold.equation_7(x_BSX), threshold.theta(x_BSX)
    assert wanted[0].unique().tolist() == [0.5] == theta[0].unique().tolist()
    assert wanted[1].unique().numel() == 1 and wanted[1, 0] > 1.1
    assert (theta - wanted).abs().max() <= GRID / 2
    # b = −δ in the first step, then (β − 1) δ: the membrane rests at δ.
    assert threshold.current(x_BSX)[0].flatten().tolist() == [0.5] + [0.125] * 39


@pytest.mark.parametrize("beta", [1 / 32, 0.5, 31 / 32])
def test_the_threshold_stays_near_equation_7_for_every_leak(beta: float):
    """Its current lies on a grid, and is the equivalent of the threshold exactly."""
    threshold, x_BSX = MovingThreshold(beta), counts(steps=200)
    theta, b = threshold.theta(x_BSX), threshold.current(x_BSX).double()
    assert (theta - threshold.equation_7(x_BSX)).abs().max() <= GRID / 2 * (1 + 1e-9)
    assert torch.equal((b / GRID).round(), b / GRID) and b.unique().numel() > 10
    torch.testing.assert_close(threshold_current(theta - 1.0, beta), b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_at_the_resting_threshold_the_spikes_are_those_of_a_fixed_one(name: str):
    """11 events in 11 of 162 places: σ(11/162) + log(12)/log(162) = 1.005, so that b is 0."""
    generator = torch.Generator().manual_seed(1)
    x_BSX = torch.zeros(2, 12, 162)
    for bin_D in x_BSX.flatten(0, 1):
        bin_D[torch.randperm(162, generator=generator)[:11]] = 1
    one, other = (
        moving(name, arithmetic="loihi", threshold=t) for t in (MovingThreshold(BETA), None)
    )
    assert one.threshold is not None and one.threshold.current(x_BSX).unique().tolist() == [0.0]
    other.load_state_dict(one.state_dict())
    traces = one.trace(x_BSX), other.trace(x_BSX)
    assert sum(int(t.spikes_BSN.sum()) for t in traces[0].values()) > 10
    for node, trace in traces[0].items():
        assert torch.equal(trace.spikes_BSN, traces[1][node].spikes_BSN)


def plain_loop(network: Network, x_BSD: np.ndarray, theta_BS1: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of neurons with the threshold θ(t), one step after the other, in float64.

    v(t) = β v(t − 1) + I(t); a spike where v(t) > θ(t); then v(t) = θ(t) − θ0.
    """
    signals = {"input": x_BSD}
    for p in network.populations:
        (synapses,) = p.synapses
        current_BSN = times(signals[synapses.source], synapses.weight) + p.bias
        offset = p.v_threshold - 1.0
        v_BN, spikes_BSN = np.zeros_like(current_BSN[:, 0]), np.zeros_like(current_BSN)
        for t in range(x_BSD.shape[1]):
            v_BN = BETA * v_BN + current_BSN[:, t]
            spikes_BSN[:, t] = v_BN > theta_BS1[:, t] + offset
            v_BN = np.where(spikes_BSN[:, t] > 0, theta_BS1[:, t] - 1.0, v_BN)
        signals[p.name] = spikes_BSN
    return signals


@pytest.mark.parametrize("name", LAYERS)
def test_the_spikes_are_those_of_a_loop_with_the_moving_threshold(name: str):
    network, x_BSX = moving(name), counts()
    assert network.threshold is not None
    fixed = moving(name, threshold=None)
    expected = plain_loop(
        lower(fixed.trained()),
        x_BSX.flatten(2).double().numpy(),
        network.threshold.theta(x_BSX).numpy(),
    )
    found, other = network.trace(x_BSX), fixed.trace(x_BSX)
    differ = 0
    for node, trace in found.items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), expected[node])
        assert 4 < trace.spikes_BSN.sum() < trace.spikes_BSN.numel() * 0.6
        differ += int((trace.spikes_BSN != other[node].spikes_BSN).sum())
    assert differ > 10  # the threshold has moved them


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("name", LAYERS)
def test_the_integers_have_the_same_spikes_and_membranes(name: str, bits: int):
    network, x_BSX = moving(name, arithmetic="loihi", bits=bits), counts(1)
    network.check_exact()
    integers = quantise(lower(network.trained()), network.grids)
    inputs = {n: x.numpy() for n, x in network.inputs(x_BSX).items()}
    found, fired = reference_int(integers, inputs), 0
    for node, trace in network.trace(x_BSX).items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[node])
        membranes = found.membrane(node)
        np.testing.assert_array_equal(trace.membranes_BSN, membranes)
        fired += int(trace.spikes_BSN.sum())
    assert fired > 10 and found.counts == {"wrapped": 0, "clipped": 0}
    # The current lies on its grid, and so do its weights: thresholds alone are rounded.
    assert all(": threshold " in note for note in integers.notes)
    current = inputs[CURRENT] / network.grids[CURRENT]
    np.testing.assert_array_equal(current, np.round(current))


@pytest.mark.parametrize("name", LAYERS)
def test_the_float_reference_has_the_same_spikes(name: str):
    network, x_BSX = moving(name), counts(2)
    inputs = {n: x.numpy() for n, x in network.inputs(x_BSX).items()}
    found = reference_float(lower(network.trained()), inputs)
    for node, trace in network.trace(x_BSX).items():
        np.testing.assert_allclose(trace.membranes_BSN, found.membranes[node], atol=1e-4)
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), found.spikes[node])


@pytest.mark.parametrize("name", LAYERS)
def test_every_neuron_receives_the_one_value_of_the_input(name: str):
    network = lower(moving(name).trained())
    assert network.inputs == {"input": 162, CURRENT: 1}
    for p in network.populations:
        (synapses,) = (s for s in p.synapses if s.source == CURRENT)
        weight = synapses.weight
        dense = weight if isinstance(weight, np.ndarray) else weight.toarray()
        assert dense.shape == (p.size, 1) and (dense == 1).all()


def test_the_graph_has_plain_nodes():
    kinds = {
        name: {type(node) for node in moving(name).trained().nodes.values()} for name in LAYERS
    }
    dense = {nir.Input, nir.Output, nir.Flatten, nir.Affine, nir.LIF, nir.Linear}
    assert kinds["dense"] == dense
    assert kinds["convolutional"] == dense | {nir.Conv2d, nir.SumPool2d}


@pytest.mark.parametrize("arithmetic", ["float", "loihi"])
def test_gradients_reach_every_parameter(arithmetic: str):
    network = moving("convolutional", arithmetic=arithmetic)
    network.counts(counts()).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_recordings_of_one_value_have_no_entropy():
    one = Recordings(np.ones((2, 3, 1, 1, 1), np.uint8), np.array([0, 1]), ("a", "b"))
    config = RecognitionConfig("folder", layers="2-C", threshold="moving")
    with pytest.raises(UserError, match="--threshold is moving, expected fixed: a bin of these"):
        build(config, Prepared(one, one, ("a", "b"), (), ()))


def test_what_has_no_such_threshold_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        event_omega(torch.ones(1, 2, 1))
    with pytest.raises(ValueError, match="a count is -1"):
        MovingThreshold(0.5).theta(torch.tensor([[[1.0, -1.0]]]))
    with pytest.raises(ValueError, match="whose neurons all have this beta"):
        moving("dense", threshold=MovingThreshold(0.5))
    graph = initial_graph(parse_layers("12-C", 3), SHAPE, beta=(BETA, 0.5))
    with pytest.raises(ValueError, match="whose neurons all have this beta"):
        SpikingGraph(graph, threshold=MovingThreshold(BETA))
