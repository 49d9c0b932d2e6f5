"""Training's integer arithmetic against the NumPy twin of Lava's fixed point, and its gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.graph import input_grids, to_graph
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from mdft.errors import UserError
from mdft.lif.grid import GRID, GRID_MAX, INPUT_GRID
from mdft.lif.layer import lif_sequence
from mdft.lif.loihi import state_unit
from mdft.lif.neuron import AtanSpike, LIFParams, leak, lif_loop
from mdft.model.calibrate import calibrate
from mdft.model.motion import MotionBranch

pytestmark = pytest.mark.rounding

PARAMS = LIFParams(0.5, 1.0 + 2.0**-18, state_unit=2.0**-13)
BETAS = st.integers(1, 31).map(lambda m: m / 32)


def branch_of(seed: int, features: int, neurons: int, layers: int, **others) -> MotionBranch:
    """A branch that fires, with biases, in Loihi's arithmetic."""
    torch.manual_seed(seed)
    branch = MotionBranch(features, neurons, layers, arithmetic="loihi", **others)
    for index in range(layers):
        torch.nn.init.normal_(branch.linear(index).bias, 0.2 * branch.theta_0, 0.3)
    return branch


def drive(branch: MotionBranch, seed: int, batch: int, steps: int, *, per_neuron: bool = False):
    """Graded spikes on 1/16 and the current of a threshold that moves."""
    generator = torch.Generator().manual_seed(seed)
    shape = batch, steps, branch.features
    active = torch.rand(shape, generator=generator) < 0.3
    x_BSF = torch.randint(0, 64, shape, generator=generator) * INPUT_GRID * active
    width = branch.neurons if per_neuron else 1
    theta_BSA = branch.theta_0 * (0.5 + 1.5 * torch.rand(batch, steps, width, generator=generator))
    return x_BSF, branch.threshold_current(theta_BSA)


def check_equals_the_integers(branch: MotionBranch, x_BSF, current_BSA) -> float:
    """Every spike and membrane is that of the exported graph in integers; the mean rate."""
    graph = to_graph(branch, per_neuron=current_BSA.shape[-1] != 1)
    network = quantise(lower(graph), input_grids(branch))
    assert network.notes == ()
    inputs = {"events": x_BSF.numpy(), "threshold_current": current_BSA.detach().numpy()}
    expected = reference_int(network, inputs)
    assert not any(expected.counts.values())
    rates = []
    for i, (spikes, membranes) in enumerate(
        branch.trace(x_BSF, threshold_current=current_BSA), start=1
    ):
        name = f"lif_{i}"
        integers = membranes.double().numpy() / expected.units[name]
        np.testing.assert_array_equal(integers, expected.membranes[name])
        np.testing.assert_array_equal(spikes.detach().numpy(), expected.spikes[name])
        rates.append(spikes.mean().item())
    return float(np.mean(rates))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    widths=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3)),
    beta=BETAS,
    theta_0=st.integers(1, 128).map(lambda k: k / 32),
    bits=st.integers(2, 8),
    per_neuron=st.booleans(),
    fused=st.booleans(),
    weights=st.sampled_from(["any", "even", "positive", "zero"]),
)
def test_training_computes_the_integers_of_the_exported_graph(
    seed, widths, beta, theta_0, bits, per_neuron, fused, weights
):
    branch = branch_of(seed, *widths, beta=beta, theta_0=theta_0, weight_bits=bits, fused=fused)
    with torch.no_grad():
        for index in range(branch.layers):
            weight = branch.linear(index).weight
            if weights == "even":  # the coarsest grid of the weights is then twice as coarse
                weight.copy_(torch.round(weight / GRID / 2) * GRID * 2)
            elif weights == "positive":  # Lava needs no even integers
                weight.abs_()
            elif weights == "zero":
                weight.zero_()
    x, current = drive(branch, seed, 2, 6, per_neuron=per_neuron)
    check_equals_the_integers(branch, x, current)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("beta", [0.5, 0.78125])
def test_calibrated_layers_fire_and_equal_the_integers(bits: int, beta: float):
    branch = branch_of(1, 32, 32, 3, weight_bits=bits, beta=beta)
    x, current = drive(branch, 1, 8, 20)
    reached = calibrate(branch, x, current.detach(), rate=0.15)
    assert all(0.04 < rate < 0.45 for rate in reached)
    assert 0.04 < check_equals_the_integers(branch, x, current) < 0.45
    in_double = branch.double().trace(x.double(), threshold_current=current.double())
    for (a, u), (e, v) in zip(
        branch.float().trace(x, threshold_current=current), in_double, strict=True
    ):
        assert torch.equal(a.double(), e)
        assert torch.equal(u.double(), v)


def test_the_leak_rounds_toward_zero():
    u = torch.tensor([3.0, 1.0, -1.0, -3.0, 0.0, 2.0**23 - 1], requires_grad=True)
    leaked = leak(u, LIFParams(0.5, 1.0, state_unit=1.0))
    assert leaked.tolist() == [1.0, 0.0, 0.0, -1.0, 0.0, 2.0**22 - 1]
    leaked.sum().backward()
    assert u.grad is not None and u.grad.tolist() == [0.5] * 6  # also where the rounding bites
    # 31/32 of 2²³ − 1: the product has 28 bits, more than float32 holds.
    top = torch.tensor([2.0**23 - 1])
    assert leak(top, LIFParams(31 / 32, 1.0, 1.0)).item() == (31 * (2**23 - 1)) // 32


def test_the_rounding_of_the_leak_does_change_spikes():
    """Otherwise the tests above would say nothing about it."""
    branch = branch_of(3, 32, 64, 3)
    x, current = drive(branch, 3, 16, 40)
    real = MotionBranch(32, 64, 3)
    real.load_state_dict(branch.state_dict())
    membranes = zip(
        branch.trace(x, threshold_current=current),
        real.trace(x, threshold_current=current),
        strict=True,
    )
    assert any(not torch.equal(a, b) for (_, a), (_, b) in membranes)


@pytest.mark.parametrize("fused", [True, False])
def test_the_gradient_by_hand(fused: bool):
    """g(t) = s'(u − θ)·∂L/∂s + [no spike]·β·g(t+1), over integer membranes, in plain loops."""
    rng = np.random.default_rng(0)
    B, S, N = 2, 12, 5
    beta, theta, unit, alpha = 0.75, 1.0 + 2.0**-18, 2.0**-9, 2.0
    current = rng.integers(-200, 400, (B, S, N)) * 2.0**-8
    above = rng.normal(size=(B, S, N))
    expected = np.zeros((B, S, N))
    for i, n in np.ndindex(B, N):
        u, membranes = 0.0, []
        for t in range(S):
            u = math.trunc(beta * u / unit) * unit + current[i, t, n]
            membranes.append(u)
            u = 0.0 if u > theta else u
        later = 0.0
        for t in reversed(range(S)):
            x = membranes[t] - theta
            slope = alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)
            later = slope * above[i, t, n] + (0.0 if x > 0 else later)
            expected[i, t, n] = later
            later *= beta
    x_BSN = torch.from_numpy(current).requires_grad_()
    spikes, _ = lif_sequence(x_BSN, LIFParams(beta, theta, unit), AtanSpike(alpha), fused=fused)
    assert 0.1 < spikes.mean() < 0.9
    (spikes * torch.from_numpy(above)).sum().backward()
    found = x_BSN.grad
    assert found is not None
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("beta", [0.5, 0.78125, 0.96875])
def test_the_moving_threshold_needs_no_error_feedback(beta: float):
    """At rest the integer membrane is −δ(t) exactly, after 500 steps too: β·δ loses no bit."""
    branch = branch_of(0, 4, 3, 1, beta=beta)
    for parameter in branch.parameters():
        torch.nn.init.zeros_(parameter)
    theta = 1.0 + torch.rand(2, 500, 1, generator=torch.Generator().manual_seed(0))
    x, current = torch.zeros(2, 500, 4), branch.threshold_current(theta)
    check_equals_the_integers(branch, x, current)
    delta = torch.round((theta - 1.0) / GRID) * GRID
    assert torch.equal(branch.trace(x, threshold_current=current)[0][1], -delta.expand(2, 500, 3))


@pytest.mark.parametrize("fused", [True, False])
def test_a_layer_that_leaves_the_range_is_named(fused: bool):
    branch = branch_of(0, 16, 4, 2, fused=fused, name="motion.audio")
    torch.nn.init.constant_(branch.linear(0).weight, -GRID_MAX * GRID)
    branch.linear(0).weight.data[0, 0] *= -1  # mixed signs: units of 2⁻¹¹, state below 64
    x, current = torch.full((1, 1, 16), 1.5), torch.zeros(1, 1, 1)
    branch(x, threshold_current=current)  # 46.5: inside
    with pytest.raises(UserError, match=r"^motion\.audio lif_1: 6 currents .* ±64, expected below"):
        branch(1.5 * x, threshold_current=current)  # −71.4, but for the first neuron: −62.5
    with pytest.raises(UserError, match="lif_1"):
        branch(x * math.nan, threshold_current=current)


def test_units_by_hand():
    mixed, even = torch.tensor([[3.0, -1.0]]) * GRID, torch.tensor([[4.0, 6.0]]) * GRID
    assert state_unit(mixed, INPUT_GRID, 2.0**-7) == 2.0**-11 / 64
    assert state_unit(even, INPUT_GRID, 2.0**-7) == 2.0**-9 / 64
    assert state_unit(even, 1.0, 2.0**-7) == 2.0**-7 / 64
    assert state_unit(torch.zeros(1, 2), 1.0, 2.0**-7) == 2.0**-7 / 64
    assert state_unit(4 * mixed, 1.0, 2.0**-3, grid=4 * GRID) == 2.0**-5 / 64


@pytest.mark.parametrize("last,step", [(3.0, 2.0**-6), (-2.0, 2.0**-6), (2.0, 2.0**-5)])
def test_every_weight_of_a_large_layer_counts(last: float, step: float):
    weight = torch.full((300, 200), 4.0) * GRID
    weight[-1, -1] = last * GRID
    assert state_unit(weight, 1.0, 1.0) == step / 64


def test_the_loop_can_still_be_differentiated_twice():
    current = torch.rand(1, 4, 2, dtype=torch.float64, requires_grad=True)
    spikes, _ = lif_loop(current, PARAMS, AtanSpike())
    (first,) = torch.autograd.grad(spikes.sum(), current, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), current)
    assert second.abs().max() > 0
