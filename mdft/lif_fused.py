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
from mdft.loihi import check_range, state_limit
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
        name: str,
    ) -> tuple[Tensor, Tensor]:
        if overwrite and current_BSN.is_contiguous():
            if not current_BSN.is_inference():
                # Whoever else saved it for a gradient will be told so by autograd.
                torch.autograd.graph.increment_version(current_BSN)
            membrane_BSN = current_BSN.detach()
        else:
            membrane_BSN = current_BSN.clone(memory_format=torch.contiguous_format)
        spikes_BSN = torch.empty_like(membrane_BSN)
        arrays = _flat(membrane_BSN), _flat(bias_N), _flat(threshold_current_BSM)
        number = arrays[0].dtype.type
        beta, theta = number(params.beta), number(params.v_threshold)
        _forward(arrays, params, theta, _flat(spikes_BSN), current_BSN.shape, name)
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
            return (None,) * 7
        (membrane_BSN,) = ctx.saved_tensors
        B, S, N = membrane_BSN.shape
        g_BSN = torch.empty_like(membrane_BSN)
        g_BN, g_BS1 = g_BSN.new_empty(B, N), g_BSN.new_empty(B, S, 1)
        arrays = _flat(grads[0]), _flat(membrane_BSN)
        results = _flat(g_BSN), _flat(g_BN), _flat(g_BS1)
        over_samples(lif_numba.backward, B, g_BSN.numel(), *arrays, *ctx.constants, *results, S)
        g_BSM = g_BSN if ctx.per_neuron else g_BS1
        return g_BSN, g_BSM, g_BN.sum(0), None, None, None, None


def _forward(
    arrays: tuple[np.ndarray, ...],
    params: LIFParams,
    theta: np.floating,
    spikes: np.ndarray,
    shape: torch.Size,
    name: str,
) -> None:
    """Call the kernel of the arithmetic that is asked for; ``arrays[0]`` becomes membranes."""
    B, S, _ = shape
    if params.state_unit is None:
        given = *arrays, theta.dtype.type(params.beta), theta, spikes, S
        over_samples(lif_numba.forward, B, spikes.size, *given)
        return
    outside_B = np.empty(B, np.int64)
    given = *arrays, params.beta, theta, spikes, S, params.state_unit, state_limit(params)
    over_samples(lif_numba.forward_integer, B, spikes.size, *given, outside_B)
    check_range(int(outside_B.sum()), params, name)


def fused_lif(
    current_BSN: Tensor,
    threshold_current_BSM: Tensor,
    bias_N: Tensor,
    params: LIFParams,
    alpha: float,
    *,
    overwrite: bool = False,
    name: str = "fused_lif",
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
        params: β, θ0 and the arithmetic.
        alpha: sharpness of the surrogate.
        overwrite: put the membranes in the memory of ``current_BSN``.
        name: what an error calls the layer.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N), which carry no gradient.

    Raises:
        UserError: with a state unit: a current or a membrane leaves the range of Loihi's state.
    """
    result = _FusedLIF.apply(
        current_BSN, threshold_current_BSM, bias_N, params, alpha, overwrite, name
    )
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
