"""The LIF over all steps of a sample in one pass, on the CPU, with its gradient."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdft import lif_numba
from mdft.neuron import AtanSpike, LIFParams

#: Fewest elements that are worth waking a second thread for.
GRAIN = 2**17


@lru_cache(1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "mdft-lif")


# A forked child inherits the pool without its threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def over_samples(kernel: Callable[..., None], samples: int, elements: int, *args: Any) -> None:
    """Call ``kernel(*args, first, last)`` over all samples, on as many threads as torch uses."""
    threads = max(1, min(torch.get_num_threads(), samples, elements // GRAIN))
    edges = [samples * i // threads for i in range(threads + 1)]
    waiting = [
        _pool(threads - 1).submit(kernel, *args, first, last) for first, last in pairwise(edges[1:])
    ]
    kernel(*args, 0, edges[1])
    for future in waiting:
        future.result()


def _flat(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().view(-1).numpy()


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current_BSN: Tensor,
        threshold_current_BSM: Tensor,
        bias_N: Tensor,
        params: LIFParams,
        alpha: float,
        overwrite: bool,
    ) -> tuple[Tensor, Tensor]:
        if overwrite and current_BSN.is_contiguous():
            if not current_BSN.is_inference():
                # Whoever else saved it for a gradient will be told so by autograd.
                torch.autograd.graph.increment_version(current_BSN)
            membrane_BSN = current_BSN.detach()
        else:
            membrane_BSN = current_BSN.clone(memory_format=torch.contiguous_format)
        spikes_BSN = torch.empty_like(membrane_BSN)
        bias, spikes = _flat(bias_N), _flat(spikes_BSN)
        number = bias.dtype.type
        beta, theta = number(params.beta), number(params.v_threshold)
        B, S, _ = current_BSN.shape
        arrays = _flat(membrane_BSN), bias, _flat(threshold_current_BSM)
        over_samples(lif_numba.forward, B, spikes.size, *arrays, beta, theta, spikes, S)
        ctx.save_for_backward(membrane_BSN)
        ctx.constants = beta, theta, number(alpha / 2), number(math.pi / 2 * alpha)
        ctx.per_neuron = threshold_current_BSM.shape[-1] != 1
        ctx.mark_non_differentiable(membrane_BSN)
        ctx.set_materialize_grads(False)
        return spikes_BSN, membrane_BSN

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the fused LIF has no second derivative (create_graph=True); pass fused=False to "
                "take the plain loop, which has"
            )
        if grads[0] is None:
            return (None,) * 6
        (membrane_BSN,) = ctx.saved_tensors
        B, S, N = membrane_BSN.shape
        g_BSN = torch.empty_like(membrane_BSN)
        g_BN, g_BS1 = g_BSN.new_empty(B, N), g_BSN.new_empty(B, S, 1)
        arrays = _flat(grads[0]), _flat(membrane_BSN)
        results = _flat(g_BSN), _flat(g_BN), _flat(g_BS1)
        over_samples(lif_numba.backward, B, g_BSN.numel(), *arrays, *ctx.constants, *results, S)
        g_BSM = g_BSN if ctx.per_neuron else g_BS1
        return g_BSN, g_BSM, g_BN.sum(0), None, None, None


def fused_lif(
    current_BSN: Tensor,
    threshold_current_BSM: Tensor,
    bias_N: Tensor,
    params: LIFParams,
    alpha: float,
    *,
    overwrite: bool = False,
) -> tuple[Tensor, Tensor]:
    """:func:`mdft.neuron.lif_loop` with the arctangent surrogate, in one pass each way.

    Saved for the gradient: the membranes before the reset, nothing else. The gradient is that of
    the loop up to rounding; that of the bias is summed over the steps of a sample from the last
    one, then over samples; that of a threshold current (B,S,1) over neurons, in vector lanes. None
    depends on the number of threads. It cannot be differentiated twice, and says so; the loop can.

    Args:
        current_BSN: input current, on the CPU; all tensors of its dtype, float32 or float64.
        threshold_current_BSM: (B,S,1) or (B,S,N).
        bias_N: (N,).
        params: β and θ0.
        alpha: sharpness of the surrogate.
        overwrite: put the membranes in the memory of ``current_BSN``.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N), which carry no gradient.
    """
    result = _FusedLIF.apply(current_BSN, threshold_current_BSM, bias_N, params, alpha, overwrite)
    assert isinstance(result, tuple)
    return result


def supports(current_BSN: Tensor, spike: object) -> bool:
    """Whether :func:`fused_lif` computes this: a CPU tensor, the arctangent, not compiling."""
    return (
        isinstance(spike, AtanSpike)
        and current_BSN.device.type == "cpu"
        and current_BSN.dtype in (torch.float32, torch.float64)
        and current_BSN.numel() > 0
        and not torch.compiler.is_compiling()
    )
