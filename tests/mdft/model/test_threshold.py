"""Equation (7) proved: bounded for any input, of each sample alone, and more context fires less."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mdft.config.model import ThresholdMode
from mdft.model.motion import MotionBranch
from mdft.model.threshold import dynamic_threshold, omega, omega_elementwise, phi

pytestmark = pytest.mark.rounding

BOUNDS: dict[str, Any] = {"theta_0": 1.0, "theta_min": 0.5, "theta_max": 2.0}
MODES: tuple[ThresholdMode, ...] = ("relative", "paper", "fixed")
HUGE = float(np.finfo(np.float32).max)
anything = st.floats(-HUGE, HUGE, width=32)


def features(D: int = 6):
    """(B,T,D) float32 of any finite size, T = 1 included."""
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.just(D))
    return shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=anything))


@settings(max_examples=40)
@given(S=features(), seed=st.integers(0, 3), scale=st.sampled_from([0.0, 1.0, 15.0, HUGE]))
@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_finite_and_within_bounds_for_any_input(S, seed, scale, mode, per_neuron):
    sign = np.random.default_rng(seed).choice([-1, 0, 1], S.shape).astype(np.float32)
    S_BTD = torch.from_numpy(S).requires_grad_()
    E_BTD = torch.from_numpy(sign * np.float32(scale)).requires_grad_()  # E_a has a gradient
    theta = dynamic_threshold(S_BTD, E_BTD, mode=mode, per_neuron=per_neuron, **BOUNDS)
    assert theta.shape == (*S.shape[:2], S.shape[2] if per_neuron else 1)
    assert torch.isfinite(theta).all()
    assert ((theta >= 0.5) & (theta <= 2.0)).all()
    if mode != "fixed":
        theta.sum().backward()
        for x in (S_BTD, E_BTD):
            assert x.grad is not None and torch.isfinite(x.grad).all()


@settings(max_examples=30)
@given(S=features(), scale=st.sampled_from([0.0, 1.0, 15.0, HUGE]), mode=st.sampled_from(MODES[:2]))
def test_it_is_the_factor_that_is_finite_and_not_the_clamp(S, scale, mode):
    """A clamp turns infinities into bounds; under bounds that cannot bite there are none."""
    S_BTD = torch.from_numpy(S)
    wide: dict[str, Any] = {"theta_0": 1.0, "theta_min": 1e-30, "theta_max": 1e30}
    theta = dynamic_threshold(S_BTD, torch.full_like(S_BTD, scale), mode=mode, **wide)
    assert ((theta >= 0) & (theta < 1e30)).all()
    factor = phi(S_BTD) + omega(S_BTD, torch.full_like(S_BTD, scale))
    # ω ≤ (1/log D) log(D + max|E|): Jensen, as Σ_d N_d (1/N_d + |E_d|) = D + Σ_d N_d |E_d|.
    D = S.shape[-1]
    assert (factor >= 0).all()
    assert (factor <= 1 + np.log(D + float(scale)) / np.log(D) + 1e-4).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("T", [1, 300])
@pytest.mark.parametrize("events", [0.0, 1.0], ids=["no events", "events everywhere"])
def test_one_second_and_three_hundred(mode: ThresholdMode, T: int, events: float):
    S_BTD = torch.randn(4, T, 512, generator=torch.Generator().manual_seed(T))
    theta = dynamic_threshold(S_BTD, torch.full_like(S_BTD, events), mode=mode, **BOUNDS)
    assert torch.isfinite(theta).all()
    assert ((theta >= 0.5) & (theta <= 2.0)).all()


@pytest.mark.parametrize("mode", MODES)
def test_each_sample_has_its_own(mode: ThresholdMode):
    """Bit-equal alone and in a batch: no statistic runs over samples."""
    generator = torch.Generator().manual_seed(1)
    S_BTD = 2 * torch.randn(5, 7, 64, generator=generator)
    E_BTD = torch.randint(-2, 3, S_BTD.shape, generator=generator).float()
    together = dynamic_threshold(S_BTD, E_BTD, mode=mode, **BOUNDS)
    for b in range(5):
        alone = dynamic_threshold(S_BTD[b : b + 1], E_BTD[b : b + 1], mode=mode, **BOUNDS)
        assert torch.equal(alone[0], together[b])


@settings(max_examples=30)
@given(more=st.floats(0.05, 6.0), seed=st.integers(0, 1000), mode=st.sampled_from(MODES[:2]))
def test_more_context_raises_the_threshold(more: float, seed: int, mode: ThresholdMode):
    """A constant added to S leaves N(S), and so ω, alone and raises φ: V_th must not fall."""
    generator = torch.Generator().manual_seed(seed)
    S_BTD = torch.randn(3, 5, 32, dtype=torch.float64, generator=generator)
    E_BTD = torch.randint(0, 2, S_BTD.shape, generator=generator).double()
    assert (phi(S_BTD + more) > phi(S_BTD)).all()
    torch.testing.assert_close(omega(S_BTD + more, E_BTD), omega(S_BTD, E_BTD))
    wide: dict[str, Any] = {"theta_0": 1.0, "theta_min": 1e-3, "theta_max": 1e3}
    low, high = (dynamic_threshold(x, E_BTD, mode=mode, **wide) for x in (S_BTD, S_BTD + more))
    assert (high > low).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), more=st.sampled_from([0.25, 0.5, 1.0]))
def test_a_higher_threshold_never_adds_a_first_spike(seed: int, more: float):
    """Until a neuron first fires, a higher threshold means less membrane and no other spike.

    After a first spike histories differ (the quieter neuron keeps its charge), so a single later
    spike may be gained; that is why the whole count is compared over many neurons below.
    """
    branch, x, theta = drive(seed)
    low = branch.spikes(x, theta=theta)[0]
    high = branch.spikes(x, theta=theta + more)[0]
    assert 0 < high.mean() < low.mean()
    first = (low.cumsum(1) - low == 0) & (high.cumsum(1) - high == 0)
    assert (high[first] <= low[first]).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_higher_threshold_fires_less(seed: int):
    branch, x, theta = drive(seed)
    rates = [
        branch.spikes(x, theta=theta + more)[0].mean().item() for more in (0.0, 0.25, 0.5, 1.0)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.8 * rates[0]


def drive(seed: int) -> tuple[MotionBranch, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    branch = MotionBranch(32, 64)
    x_BSF = torch.randint(0, 16, (8, 20, 32)) / 16.0
    return branch, x_BSF, 0.5 + torch.rand(8, 20, 1)


def test_the_mean_of_the_elementwise_entropy_is_the_scalar_one():
    S_BTD, E_BTD = torch.randn(2, 3, 64).double(), torch.randn(2, 3, 64).double()
    by_hand = torch.zeros(2, 3, 1, dtype=torch.float64)
    N = torch.softmax(S_BTD, -1)
    for d in range(64):
        by_hand[..., 0] += N[..., d] * torch.log(1 / N[..., d] + E_BTD[..., d].abs())
    torch.testing.assert_close(omega(S_BTD, E_BTD), by_hand / np.log(64))
    each = omega_elementwise(S_BTD, E_BTD)
    torch.testing.assert_close(each.mean(-1, keepdim=True), omega(S_BTD, E_BTD))
    # A silent scene of equal features has ω_d = 1 everywhere.
    flat = omega_elementwise(torch.zeros(1, 1, 64), torch.zeros(1, 1, 64))
    torch.testing.assert_close(flat, torch.ones(1, 1, 64))


def test_half_precision_is_computed_in_float32():
    S_BTD, E_BTD = torch.randn(2, 3, 64).bfloat16(), torch.randn(2, 3, 64).bfloat16()
    got = dynamic_threshold(S_BTD, E_BTD, mode="relative", **BOUNDS)
    assert got.dtype == torch.float32
    expected = dynamic_threshold(S_BTD.float(), E_BTD.float(), mode="relative", **BOUNDS)
    assert torch.equal(got, expected)
