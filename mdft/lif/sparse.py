"""Products of spikes with weights on the CPU: rows of weights added up, where a spike is.

A spike is one, and nine of ten are none: ``W s`` is the sum of the columns of W that fire, and the
gradient of a column of W the sum of the gradients at the steps at which its input fires. On the
grids of a :class:`mdft.model.motion.MotionBranch` float32 holds every ``W s`` exactly, whatever the
order of its sum: it is that of the matrix product, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.lif.cpu import flat
from mdft.lif.sparse_kernels import COLUMNS, LANES, add_outer, add_rows, transpose
from mdft.lif.threads import over_samples

#: Of the inputs that are not zero, from which on the matrix product is faster.
DENSEST = 0.15
#: Every so many rows are looked at to tell how many are not zero.
_STRIDE = 16


class _SpikeProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal_XF: Tensor, weight_NF: Tensor) -> Tensor:
        ctx.save_for_backward(signal_XF, weight_NF)
        out_XN = signal_XF.new_empty(len(signal_XF), len(weight_NF))
        weight_FN = weight_NF.new_empty(weight_NF.shape[::-1])
        transpose(flat(weight_NF), flat(weight_FN), len(weight_NF))
        arrays = flat(signal_XF), flat(weight_FN), flat(out_XN)
        over_samples(add_rows, len(signal_XF), out_XN.numel(), *arrays, signal_XF.shape[1])
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
        return grad_XN.t().mm(signal_XF)
    features, neurons = signal_XF.shape[1], grad_XN.shape[1]
    grad_FN = grad_XN.new_empty(features, neurons)
    grad_NF = grad_XN.new_empty(neurons, features)
    arrays = flat(signal_XF), grad, flat(grad_FN)
    over_samples(add_outer, features // LANES, grad_XN.numel(), *arrays, features)
    transpose(flat(grad_FN), flat(grad_NF), features)
    return grad_NF


def _array(x: Tensor) -> np.ndarray | None:
    try:
        return flat(x)
    except RuntimeError:  # torch knows kinds of tensors that NumPy cannot read
        return None


def spike_linear(signal_BSF: Tensor, weight_NF: Tensor) -> Tensor:
    """``W s`` of every step, (B,S,N): :func:`torch.nn.functional.linear`, faster where s is sparse.

    Sparse: on the CPU, contiguous, and less than `DENSEST` of every sixteenth step's inputs are
    not zero. Then the sum of a neuron is taken from the first input on, else in the order of the
    matrix product; both are exact, hence equal, if every partial sum has a place in the dtype.
    The gradient of the signal is that of the matrix product, bit for bit; that of a weight is
    summed over the rows from the first one on, whatever the number of threads. What a zero would
    be multiplied by is not looked at: a weight that is no number is noticed when its input fires.

    Args:
        signal_BSF: spikes, or an input with many zeros; float32 or float64.
        weight_NF: of the same dtype.
    """
    if not _sparse(signal_BSF, weight_NF):
        return F.linear(signal_BSF, weight_NF)
    found_XN = _SpikeProduct.apply(signal_BSF.flatten(0, 1), weight_NF)
    assert isinstance(found_XN, Tensor)
    return found_XN.unflatten(0, signal_BSF.shape[:2])


def _sparse(signal_BSF: Tensor, weight_NF: Tensor) -> bool:
    N, features = weight_NF.shape
    if (
        signal_BSF.device.type != "cpu"
        or torch.compiler.is_compiling()
        or N % COLUMNS
        or features % LANES
        or not signal_BSF.is_contiguous()
        or signal_BSF.numel() == 0
    ):
        return False
    seen_XF = signal_BSF.detach().flatten(0, 1)[::_STRIDE]
    return bool(np.count_nonzero(seen_XF.numpy()) < DENSEST * seen_XF.numel())
