"""Sparse products of spikes with weights on the CPU.

About nine of ten inputs are 0: ``W s`` is the sum of the columns of W whose input spikes, and the
gradient of a column of W is the sum of the gradients at the steps at which its input spikes. On
the grids of a :class:`mdft.model.motion.MotionBranch` float32 represents every ``W s`` exactly in
any order of summation, so the result equals the matrix product, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.lif.cpu import flat
from mdft.lif.threads import over_samples

#: Fraction of nonzero inputs from which on the matrix product is faster.
DENSEST = 0.15
#: The fraction is estimated from every such row.
_STRIDE = 16


def _kernels() -> Any:
    """The compiled loops, imported on first use: numba takes a second."""
    from mdft.lif import sparse_kernels

    return sparse_kernels


class _SpikeProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal_XF: Tensor, weight_NF: Tensor) -> Tensor:
        ctx.save_for_backward(signal_XF, weight_NF)
        out_XN = weight_NF.new_empty(len(signal_XF), len(weight_NF))
        packed = weight_NF.new_empty(weight_NF.numel())
        _kernels().pack(flat(weight_NF), flat(packed), len(weight_NF))
        arrays = flat(signal_XF), flat(packed), flat(out_XN)
        over_samples(
            _kernels().add_rows, len(signal_XF), out_XN.numel(), *arrays, signal_XF.shape[1]
        )
        return out_XN

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        signal_XF, weight_NF = ctx.saved_tensors
        signal, weight = ctx.needs_input_grad
        return (
            grads[0].mm(weight_NF) if signal else None,
            _weight_gradient(signal_XF, grads[0]) if weight else None,
        )


def _weight_gradient(signal_XF: Tensor, grad_XN: Tensor) -> Tensor:
    """``Σ_x ∂L/∂o(x) s(x)ᵀ``, (N,F), over the spikes."""
    grad = _array(grad_XN)
    if torch.is_grad_enabled() or grad is None:  # a second derivative, or a batch of vmap
        return grad_XN.t().mm(signal_XF.to(grad_XN))
    features, neurons = signal_XF.shape[1], grad_XN.shape[1]
    grad_NF = grad_XN.new_empty(neurons, features)
    arrays = flat(signal_XF), grad, flat(grad_NF)
    tiles = -(-features // _kernels().LANES)
    over_samples(_kernels().add_outer, tiles, grad_XN.numel(), *arrays, features)
    return grad_NF


def _array(x: Tensor) -> np.ndarray | None:
    try:
        return flat(x)
    except RuntimeError:  # torch knows kinds of tensors that NumPy cannot read
        return None


def spike_linear(signal_BSF: Tensor, weight_NF: Tensor) -> Tensor:
    """``W s`` of every step, (B,S,N): :func:`torch.nn.functional.linear`, faster for sparse s.

    The sparse path is taken on the CPU for a contiguous signal if less than `DENSEST` of the inputs
    of every sixteenth step are nonzero. It sums over inputs in ascending order, the dense path in
    the order of the matrix product; both are exact, hence equal, if every partial sum is
    representable in the dtype. The gradient of the signal equals that of the matrix product, bit
    for bit; that of a weight is summed over rows in ascending order, whatever the number of
    threads. Weights of zero inputs are not read: a NaN weight has an effect only if its input is
    nonzero.

    Args:
        signal_BSF: spikes, or an input with many zeros; of the dtype of the weights, or integers.
        weight_NF: float32 or float64.
    """
    if not _sparse(signal_BSF, weight_NF):
        return F.linear(signal_BSF.to(weight_NF), weight_NF)
    found_XN = _SpikeProduct.apply(signal_BSF.flatten(0, 1), weight_NF)
    assert isinstance(found_XN, Tensor)
    return found_XN.unflatten(0, signal_BSF.shape[:2])


def _sparse(signal_BSF: Tensor, weight_NF: Tensor) -> bool:
    N, features = weight_NF.shape
    if (
        signal_BSF.device.type != "cpu"
        or torch.compiler.is_compiling()
        or not signal_BSF.is_contiguous()
        or signal_BSF.numel() == 0
        or N % _kernels().COLUMNS
        or features < _kernels().LANES
    ):
        return False
    return few_nonzero(signal_BSF.flatten(0, 1), DENSEST)


def few_nonzero(signal_XF: Tensor, densest: float) -> bool:
    """Whether less than a fraction of the values of every sixteenth row is nonzero.

    Args:
        signal_XF: a tensor on the CPU, of any further axes.
        densest: the fraction.
    """
    seen_XF = signal_XF.detach()[::_STRIDE]
    return bool(np.count_nonzero(seen_XF.numpy()) < densest * seen_XF.numel())
