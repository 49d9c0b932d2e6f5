"""The dynamic threshold block, eq. (7)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

ThresholdMode = Literal["relative", "paper", "fixed"]


def phi(S_BTD: Tensor) -> Tensor:
    """``φ = σ(mean_D S)``, (B,T,1): how much semantic context there is."""
    return torch.sigmoid(S_BTD.mean(-1, keepdim=True))


def omega(S_BTD: Tensor, events_BTD: Tensor) -> Tensor:
    """``ω = (1/log D) Σ_d N_d · log(1/N_d + |E_d|)``, (B,T,1), with ``N = softmax_D(S)``.

    The entropy of the scene, raised by motion. With ``1/N`` inside the logarithm the printed
    minus sign would make ω ≤ 0, against the text ("a high entropy raises the threshold"); any
    normaliser but the softmax makes the logarithm's argument negative or infinite.

    Args:
        S_BTD: joint audio-visual features.
        events_BTD: E_v (visual pathway) or E_a (audio pathway), the mean over the bins.
    """
    log_n = torch.log_softmax(S_BTD, dim=-1)
    n = log_n.exp()
    # log(1/N + |E|) = −log N + log(1 + N |E|) never divides by an underflown N.
    surprise = -log_n + torch.log1p(n * events_BTD.abs())
    return (n * surprise).sum(-1, keepdim=True) / math.log(S_BTD.shape[-1])


def dynamic_threshold(
    S_BTD: Tensor,
    events_BTD: Tensor,
    *,
    mode: ThresholdMode,
    theta_0: float,
    theta_min: float,
    theta_max: float,
) -> Tensor:
    """The threshold of each sample and second, (B,T,1).

    ``paper``: ``V^t = clamp((φ + ω) V^{t−1}, θ_min, θ_max)`` from ``V^0 = θ0``, eq. (7) with the
    clamp that keeps its recursion from exploding or dying within ten seconds.
    ``relative``: ``V^t = clamp((φ + ω) θ0, θ_min, θ_max)``.
    ``fixed``: ``V^t = θ0``.

    Args:
        S_BTD: joint audio-visual features.
        events_BTD: E_v or E_a, the mean over the bins.
        mode: one of the three above.
        theta_0: θ0.
        theta_min: lower bound.
        theta_max: upper bound.
    """
    if mode == "fixed":
        return torch.full_like(S_BTD[..., :1], theta_0)
    factor_BT1 = phi(S_BTD) + omega(S_BTD, events_BTD)
    if mode == "relative":
        return (factor_BT1 * theta_0).clamp(theta_min, theta_max)
    theta_B1 = torch.full_like(factor_BT1[:, 0], theta_0)
    thetas = []
    for factor_B1 in factor_BT1.unbind(1):
        theta_B1 = (factor_B1 * theta_B1).clamp(theta_min, theta_max)
        thetas.append(theta_B1)
    return torch.stack(thetas, 1)
