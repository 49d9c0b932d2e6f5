"""The dynamic threshold block, eq. (7)."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor

from mdft.config.model import ThresholdMode
from mdft.lif.precision import at_least_float32


def phi(S_BTD: Tensor) -> Tensor:
    """``φ = σ(mean_D S)``, (B,T,1): the amount of semantic context."""
    # A sum of quotients, since the sum of large features could overflow.
    return torch.sigmoid((S_BTD / S_BTD.shape[-1]).sum(-1, keepdim=True))


def omega_elementwise(S_BTD: Tensor, events_BTD: Tensor) -> Tensor:
    """``ω_d = (D/log D) N_d · log(1/N_d + |E_d|)``, (B,T,D), with ``N = softmax_D(S)``.

    ω is the entropy of the scene, raised by motion. Equation (7) as printed is elementwise, with
    one threshold per neuron; :func:`omega` is the mean over D.

    The printed minus sign is omitted: with ``1/N`` inside the logarithm it would make ω ≤ 0,
    against the text ("a high entropy raises the threshold"). N is a softmax, because any other
    normalisation makes the logarithm's argument negative or infinite.

    Args:
        S_BTD: joint audio-visual features.
        events_BTD: E_v (visual pathway) or E_a (audio pathway), the mean over the bins.

    Raises:
        ValueError: D is 1, where ``log D`` is 0.
    """
    D = S_BTD.shape[-1]
    if D < 2:
        raise ValueError(f"omega: S has {D} feature, expected at least 2")
    # exp(−1000) is 0 in any precision; without the clamp, 0 · log 0 would be NaN.
    log_n = torch.log_softmax(S_BTD, dim=-1).clamp_min(-1000.0)
    n = log_n.exp()
    # log(1/N + |E|) = −log N + log(1 + N |E|) does not divide by N, which may underflow to 0.
    surprise = -log_n + torch.log1p(n * events_BTD.abs())
    return n * surprise * (D / math.log(D))


def omega(S_BTD: Tensor, events_BTD: Tensor) -> Tensor:
    """``ω = (1/log D) Σ_d N_d · log(1/N_d + |E_d|)``, (B,T,1): entropy, raised by motion.

    Args:
        S_BTD: joint audio-visual features.
        events_BTD: E_v (visual pathway) or E_a (audio pathway), the mean over the bins.
    """
    return omega_elementwise(S_BTD, events_BTD).mean(-1, keepdim=True)


def dynamic_threshold(
    S_BTD: Tensor,
    events_BTD: Tensor,
    *,
    mode: ThresholdMode,
    theta_0: float,
    theta_min: float,
    theta_max: float,
    per_neuron: bool = False,
) -> Tensor:
    """The threshold of each sample and second, eq. (7): (B,T,1), or (B,T,D) for each neuron.

    ``paper``: ``V^t = clamp((φ + ω) V^{t−1}, θ_min, θ_max)`` from ``V^0 = θ0``, eq. (7) with the
    clamp that keeps its recursion from exploding or dying within ten seconds.
    ``relative``: ``V^t = clamp((φ + ω) θ0, θ_min, θ_max)``.
    ``fixed``: ``V^t = θ0``.

    Computed in float32 or better, also under autocast, because spikes depend on it.

    >>> S, calm, events = torch.zeros(1, 1, 8), torch.zeros(1, 1, 8), torch.full((1, 1, 8), 8.0)
    >>> bounds = {"theta_0": 1.0, "theta_min": 0.5, "theta_max": 2.0}
    >>> dynamic_threshold(S, calm, mode="relative", **bounds).item()  # φ = 1/2, ω = 1
    1.5
    >>> round(dynamic_threshold(S, events, mode="relative", **bounds).item(), 4)  # ω = log 16/log 8
    1.8333

    Args:
        S_BTD: joint audio-visual features.
        events_BTD: E_v or E_a, the mean over the bins.
        mode: one of the three above.
        theta_0: θ0.
        theta_min: lower bound.
        theta_max: upper bound.
        per_neuron: whether to use :func:`omega_elementwise`; D is then the number of neurons.

    Raises:
        ValueError: the mode is unknown.
    """
    if mode not in get_args(ThresholdMode):
        modes = ", ".join(get_args(ThresholdMode))
        raise ValueError(f"dynamic_threshold: mode is {mode!r}, expected one of {modes}")
    S_BTD, events_BTD = at_least_float32(S_BTD), at_least_float32(events_BTD)
    entropy = omega_elementwise if per_neuron else omega
    if mode == "fixed":
        return torch.full_like(S_BTD if per_neuron else S_BTD[..., :1], theta_0)
    factor_BTN = phi(S_BTD) + entropy(S_BTD, events_BTD)
    if mode == "relative":
        return (factor_BTN * theta_0).clamp(theta_min, theta_max)
    theta_BN = torch.full_like(factor_BTN[:, 0], theta_0)
    thetas = []
    for factor_BN in factor_BTN.unbind(1):
        theta_BN = (factor_BN * theta_BN).clamp(theta_min, theta_max)
        thetas.append(theta_BN)
    return torch.stack(thetas, 1)
