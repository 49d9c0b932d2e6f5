"""The fused LIF on the CPU: the kernels of :mod:`mdft.lif.cpu_kernels` over samples, on threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdft.lif.loihi import state_limit
from mdft.lif.neuron import LIFParams
from mdft.lif.threads import over_samples


def flat(x: Tensor) -> np.ndarray:
    """A tensor as a flat NumPy array in C order, (n,); shares memory if it is contiguous."""
    return x.detach().contiguous().view(-1).numpy()


def _kernels() -> Any:
    """The compiled loops, imported on first use: numba takes a second, and the loop needs none."""
    from mdft.lif import cpu_kernels

    return cpu_kernels


def available() -> bool:
    """True: numba is a dependency."""
    return True


def forward(
    membrane_BSN: Tensor,
    threshold_current_BSA: Tensor,
    bias_N: Tensor,
    spikes_BSN: Tensor,
    params: LIFParams,
) -> int:
    """See :class:`mdft.lif.fused.Kernels`."""
    B, S, _ = membrane_BSN.shape
    arrays = flat(membrane_BSN), flat(bias_N), flat(threshold_current_BSA)
    spikes, number = flat(spikes_BSN), arrays[0].dtype.type
    theta = number(params.v_threshold)
    if params.state_unit is None:
        given = *arrays, number(params.beta), theta, spikes, S
        over_samples(_kernels().forward, B, spikes.size, *given)
        return 0
    outside_B = np.empty(B, np.int64)
    given = *arrays, params.beta, theta, spikes, S, params.state_unit, state_limit(params)
    over_samples(_kernels().forward_integer, B, spikes.size, *given, outside_B)
    return int(outside_B.sum())


def backward(
    grad_spikes_BSN: Tensor, membrane_BSN: Tensor, params: LIFParams, alpha: float, *, shared: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See :class:`mdft.lif.fused.Kernels`."""
    B, S, N = membrane_BSN.shape
    g_BSN = torch.empty_like(membrane_BSN)
    g_BN, g_BS1 = g_BSN.new_empty(B, N), g_BSN.new_empty(B, S, 1)
    arrays = flat(grad_spikes_BSN), flat(membrane_BSN)
    number = arrays[1].dtype.type
    constants = params.beta, params.v_threshold, alpha / 2, math.pi / 2 * alpha
    results = flat(g_BSN), flat(g_BN), flat(g_BS1)
    given = *arrays, *map(number, constants), *results, S
    over_samples(_kernels().backward, B, g_BSN.numel(), *given)
    return g_BSN, g_BS1 if shared else g_BSN, g_BN.sum(0)
