"""Equations (8) and (9), the grid, and the moving threshold as a current."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mdft.lif.grid import GRID
from mdft.lif.neuron import AtanSpike, LIFParams, leak, lif_loop, lif_step, snap, threshold_current

pytestmark = pytest.mark.rounding

SPIKE = AtanSpike()


def test_lif_step_by_hand():
    # u = 0.5·[0.8, 1.0, −0.4] + [0.5, 0.5, 2.0] = [0.9, 1.0, 1.8]; strict >: 1.0 does not fire.
    (spikes, membrane), u = lif_step(
        torch.tensor([[0.5, 0.5, 2.0]]),
        torch.tensor([[0.8, 1.0, -0.4]]),
        LIFParams(beta=0.5, v_threshold=1.0),
        SPIKE,
    )
    torch.testing.assert_close(membrane, torch.tensor([[0.9, 1.0, 1.8]]))
    assert spikes.tolist() == [[0.0, 0.0, 1.0]]
    torch.testing.assert_close(u, torch.tensor([[0.9, 1.0, 0.0]]))


def test_lif_matches_nirs_ode_in_euler_steps():
    # NIR: τ dv/dt = v_leak − v + R I, with dt/τ = 1 − β and R = τ/dt.
    rng = np.random.default_rng(0)
    current, beta, theta = rng.normal(0.3, 0.6, (200, 5)), 0.75, 1.0
    dt = 1e-4
    tau, v, expected, before_reset = dt / (1 - beta), np.zeros(5), [], []
    for i in current:
        v = v + dt / tau * (0.0 - v + tau / dt * i)
        expected.append(v > theta)
        before_reset.append(v)
        v = np.where(v > theta, 0.0, v)
    spikes, membranes = lif_loop(torch.from_numpy(current)[None], LIFParams(beta, theta), SPIKE)
    assert np.array_equal(spikes[0].numpy().astype(bool), expected)
    np.testing.assert_allclose(membranes[0].numpy(), before_reset, rtol=1e-12)
    assert 0.02 < np.mean(expected) < 0.5


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 40),
    beta=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_moving_threshold_equals_threshold_current(seed: int, steps: int, beta: float):
    """θ-form: v > θ(t), v ← δ(t). u-form: constant θ0 and one more current. Same spikes."""
    rng = np.random.default_rng(seed)
    theta_0 = 1.0 + GRID / 128
    current_SN = rng.integers(-60, 120, (steps, 16)) * GRID
    delta_S = rng.integers(-32, 64, steps) * GRID
    v_N, expected = np.zeros(16), []
    for t in range(steps):
        v_N = beta * v_N + current_SN[t]
        fired_N = v_N > theta_0 + delta_S[t]
        v_N = np.where(fired_N, delta_S[t], v_N)
        expected.append(fired_N)
    b_BS1 = threshold_current(torch.from_numpy(delta_S)[None, :, None], beta)
    spikes_BSN, _ = lif_loop(
        torch.from_numpy(current_SN)[None] + b_BS1, LIFParams(beta, theta_0), SPIKE
    )
    assert np.array_equal(spikes_BSN[0].numpy().astype(bool), np.array(expected))


def test_threshold_current_by_hand():
    delta = torch.tensor([0.0, 1.0, 1.0, -0.5])[None, :, None]
    # b(t) = 0.5 δ(t−1) − δ(t)
    assert threshold_current(delta, 0.5).flatten().tolist() == [0.0, -1.0, -0.5, 1.0]


@given(st.floats(-3, 3, width=32))
def test_snap_lands_exactly_on_the_nearest_multiple(x: float):
    q = snap(torch.tensor(x), GRID, -127, 127).item()
    assert (q / GRID).is_integer()
    assert abs(q) <= 127 * GRID
    assert abs(q - np.clip(x, -127 * GRID, 127 * GRID)) <= GRID / 2


def test_snap_scales_value_and_gradient_alike():
    x = torch.tensor([0.4, -3.0, 0.01], requires_grad=True)
    q = snap(x, GRID, -127, 127, scale=0.25)
    assert torch.equal(q, 0.25 * snap(x, GRID, -127, 127))
    q.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.25, 0.0, 0.25]


def test_snap_passes_the_gradient_inside_its_range_only():
    x = torch.tensor([0.013, 1.9, 2.5, -2.5], requires_grad=True)
    snap(x, GRID, -127, 127).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_window_of_the_gradient_holds_its_ends():
    low, high = -127 * GRID, 127 * GRID
    x = torch.tensor([low, high, low - GRID, high + GRID], requires_grad=True)
    snap(x, GRID, -127, 127).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_leak_of_integers_rounds_toward_zero_by_hand(dtype: torch.dtype):
    # m = u / 2⁻⁶ = 5, −5, 7, 0; m·0.75 = 3.75, −3.75, 5.25, 0.
    u = torch.tensor([5, -5, 7, 0], dtype=dtype).div(64).requires_grad_()
    leaked = leak(u, LIFParams(0.75, 1.0, state_unit=2.0**-6))
    assert leaked.dtype == dtype and (64 * leaked.detach()).tolist() == [3, -3, 5, 0]
    leaked.backward(torch.tensor([1, 2, -4, 8], dtype=dtype))
    assert u.grad is not None and u.grad.tolist() == [0.75, 1.5, -3, 6]
    real = leak(u.detach(), LIFParams(0.75, 1.0))
    assert (64 * real).tolist() == [3.75, -3.75, 5.25, 0]


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_a_sharpness_that_is_no_positive_number_is_refused(alpha: float):
    with pytest.raises(ValueError, match=f"^AtanSpike: alpha is {alpha}, expected a positive num"):
        AtanSpike(alpha)
    assert AtanSpike(0.5).alpha == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_surrogate_is_snntorchs_arctangent(dtype: torch.dtype):
    x = torch.tensor([-1.0, 0.0, 0.25], dtype=dtype, requires_grad=True)
    spikes = SPIKE(x)
    spikes.sum().backward()
    assert spikes.dtype == dtype
    assert spikes.tolist() == [0.0, 0.0, 1.0]
    alpha = 2.0
    expected = alpha / 2 / (1 + (np.pi / 2 * alpha * x.detach()) ** 2)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected)


def test_gradient_through_two_steps_by_hand():
    # No spike at step 1, so du2/di1 = β; ds2/dx = g(u2 − θ).
    current = torch.tensor([[[0.6], [0.9]]], dtype=torch.float64, requires_grad=True)
    spikes, _ = lif_loop(current, LIFParams(0.5, 1.0), SPIKE)
    assert spikes.flatten().tolist() == [0.0, 1.0]
    spikes[:, 1].sum().backward()
    g = 1.0 / (1 + (np.pi * (0.5 * 0.6 + 0.9 - 1.0)) ** 2)
    assert current.grad is not None
    torch.testing.assert_close(
        current.grad.flatten(), torch.tensor([0.5 * g, g], dtype=torch.float64)
    )
