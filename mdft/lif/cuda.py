"""The fused LIF on CUDA devices: launches of the kernels of :mod:`mdft.lif.triton_kernels`.

Triton is imported at the first launch, so that a machine without a GPU does not need it. Only the
range check of Loihi's integers synchronises with the device: without a state unit both passes can
be captured in a CUDA graph, after a first call has compiled them.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from mdft.lif.loihi import state_limit
from mdft.lif.neuron import LIFParams

#: Maximum number of neurons per program. One warp of 32 threads then moves 16 bytes per thread, and
#: sums over neurons without a barrier.
BLOCK = 128
#: β·u + I must round twice, as in the loop: a fused multiply-add would change spikes.
LAUNCH = {"num_warps": 1, "enable_fp_fusion": False}


@lru_cache(1)
def available() -> bool:
    """Whether Triton is installed; if not, a UserWarning says so once."""
    if find_spec("triton") is not None:
        return True
    warnings.warn(
        "Triton is not installed: on CUDA the LIF uses the plain loop over steps, which gives the "
        "same spikes but is slower; install the package triton",
        UserWarning,
        stacklevel=4,
    )
    return False


@lru_cache(1)
def _triton() -> ModuleType:
    return import_module("mdft.lif.triton_kernels")


def _programs(N: int) -> tuple[int, int]:
    """Neurons per program, a power of two, and programs per sample."""
    block = min(BLOCK, 1 << (N - 1).bit_length())
    return block, -(-N // block)


def forward(
    membrane_BSN: Tensor,
    threshold_current_BSA: Tensor,
    bias_N: Tensor,
    spikes_BSN: Tensor,
    params: LIFParams,
) -> int:
    """See :class:`mdft.lif.fused.Kernels`. With a state unit it synchronises with the device."""
    B, S, N = membrane_BSN.shape
    block, programs = _programs(N)
    b_BSA, limit, outside = threshold_current_BSA.detach().contiguous(), None, None
    if params.state_unit is not None:
        limit = state_limit(params)
        outside = torch.empty(B, programs, dtype=torch.int32, device=membrane_BSN.device)
    with torch.cuda.device_of(membrane_BSN):
        _triton().forward[B, programs](
            membrane_BSN, b_BSA, bias_N.detach().contiguous(), spikes_BSN, outside, S, N,
            beta=params.beta, theta=params.v_threshold, unit=params.state_unit, limit=limit,
            SHARED=b_BSA.shape[-1] == 1, BLOCK=block, **LAUNCH,
        )  # fmt: skip
    return 0 if outside is None else int(outside.sum())


def backward(
    grad_spikes_BSN: Tensor, membrane_BSN: Tensor, params: LIFParams, alpha: float, *, shared: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See :class:`mdft.lif.fused.Kernels`. Neurons are summed per program, then over programs."""
    B, S, N = membrane_BSN.shape
    block, programs = _programs(N)
    g_BSN, g_BN = torch.empty_like(membrane_BSN), membrane_BSN.new_empty(B, N)
    # Partial sums in a buffer instead of atomics, so that the order of the sum is fixed.
    partial_BSP = membrane_BSN.new_empty(B, S, programs) if shared else None
    with torch.cuda.device_of(membrane_BSN):
        _triton().backward[B, programs](
            grad_spikes_BSN.contiguous(), membrane_BSN, g_BSN, g_BN, partial_BSP, S, N,
            beta=params.beta, theta=params.v_threshold, height=alpha / 2,
            width=math.pi / 2 * alpha, SHARED=shared, BLOCK=block, **LAUNCH,
        )  # fmt: skip
    g_BSA = g_BSN if partial_BSP is None else partial_BSP.sum(-1, keepdim=True)
    return g_BSN, g_BSA, g_BN.sum(0)
