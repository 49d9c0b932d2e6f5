"""The LIF over all steps of a sample in one pass, with its gradient, for autograd."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from mdft.lif import cpu as lif_cpu
from mdft.lif import cuda as lif_cuda
from mdft.lif.loihi import check_range
from mdft.lif.neuron import AtanSpike, LIFParams


class Kernels(Protocol):
    """Forward and backward kernels for one device type, each one pass; implemented by a module.

    Tensors are detached from autograd and have one dtype, float32 or float64; those of shape
    (B,S,N) are contiguous.
    """

    def available(self) -> bool:
        """Whether the kernels can run on this machine."""
        ...

    def forward(
        self,
        membrane_BSN: Tensor,
        threshold_current_BSA: Tensor,
        bias_N: Tensor,
        spikes_BSN: Tensor,
        params: LIFParams,
    ) -> int:
        """Turn currents into membranes before the reset, in place, and write the spikes.

        Both equal :func:`mdft.lif.neuron.lif_loop` of ``(I + bias) + b``, bit for bit.

        Returns:
            With a state unit, the number of ``|I + b|`` and membranes outside the range of Loihi's
            state; 0 without.
        """
        ...

    def backward(
        self,
        grad_spikes_BSN: Tensor,
        membrane_BSN: Tensor,
        params: LIFParams,
        alpha: float,
        *,
        shared: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the current (B,S,N), of the threshold current and of the bias (N,).

        ``g(t) = s'(u(t) − θ0)·∂L/∂s(t) + [no spike at t]·β·g(t+1)`` for the current; that of the
        bias is its sum over samples and steps, that of the threshold current its sum over neurons
        (B,S,1) if ``shared``, else itself. The order of every sum is deterministic.
        """
        ...


#: Device type → kernels.
KERNELS: dict[str, Kernels] = {"cpu": lif_cpu, "cuda": lif_cuda}


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current_BSN: Tensor,
        threshold_current_BSA: Tensor,
        bias_N: Tensor,
        params: LIFParams,
        alpha: float,
        overwrite: bool,
        membrane_gradient: bool,
        name: str,
    ) -> tuple[Tensor, Tensor]:
        if overwrite and current_BSN.is_contiguous():
            if not current_BSN.is_inference():
                # Autograd then raises if another operation saved this tensor for its gradient.
                torch.autograd.graph.increment_version(current_BSN)
            membrane_BSN = current_BSN.detach()
        else:
            membrane_BSN = current_BSN.clone(memory_format=torch.contiguous_format)
        spikes_BSN = torch.empty_like(membrane_BSN)
        ctx.kernels = KERNELS[current_BSN.device.type]
        outside = ctx.kernels.forward(
            membrane_BSN, threshold_current_BSA, bias_N, spikes_BSN, params
        )
        check_range(outside, params, name)
        ctx.save_for_backward(membrane_BSN)
        ctx.params, ctx.alpha = params, alpha
        ctx.shared = threshold_current_BSA.shape[-1] == 1
        if not membrane_gradient:
            ctx.mark_non_differentiable(membrane_BSN)
        ctx.set_materialize_grads(False)
        return spikes_BSN, membrane_BSN

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the fused LIF has no second derivative (create_graph=True); pass fused=False to "
                "use the plain loop, which has one"
            )
        grad_spikes_BSN, grad_membrane_BSN = grads
        (membrane_BSN,) = ctx.saved_tensors
        if grad_membrane_BSN is not None:
            # The kernels accept only the gradient of the spikes and multiply it by the slope s' of
            # the surrogate, so ∂L/∂u is passed as ∂L/∂u / s'.
            x_BSN = membrane_BSN - ctx.params.v_threshold
            slope_BSN = ctx.alpha / 2 / (1 + (math.pi / 2 * ctx.alpha * x_BSN) ** 2)
            grad_membrane_BSN = grad_membrane_BSN / slope_BSN
            if grad_spikes_BSN is not None:
                grad_membrane_BSN = grad_membrane_BSN + grad_spikes_BSN
            grad_spikes_BSN = grad_membrane_BSN
        if grad_spikes_BSN is None:
            return (None,) * 8
        found = ctx.kernels.backward(
            grad_spikes_BSN, membrane_BSN, ctx.params, ctx.alpha, shared=ctx.shared
        )
        return *found, None, None, None, None, None


def fused_lif(
    current_BSN: Tensor,
    threshold_current_BSA: Tensor,
    bias_N: Tensor,
    params: LIFParams,
    alpha: float,
    *,
    overwrite: bool = False,
    membrane_gradient: bool = False,
    name: str = "fused_lif",
) -> tuple[Tensor, Tensor]:
    """:func:`mdft.lif.neuron.lif_loop` with the arctangent surrogate, in one pass each way.

    Only the membranes before the reset are saved for the backward pass. The gradient equals that of
    the loop up to rounding. The gradient of the bias is summed over the steps of a sample from the
    last one, then over samples; that of a threshold current (B,S,1) over neurons. On one device
    each sum has a fixed order, whatever the number of threads. A second derivative raises a
    RuntimeError; the loop has one.

    On CUDA there is no synchronisation with the device, except for the range check of a state unit.

    Args:
        current_BSN: input current, float32 or float64; all tensors have its device and dtype.
        threshold_current_BSA: (B,S,1) or (B,S,N).
        bias_N: (N,).
        params: β, θ0 and the arithmetic.
        alpha: sharpness of the surrogate.
        overwrite: store the membranes in the memory of ``current_BSN``.
        membrane_gradient: whether the returned membranes require a gradient.
        name: name of the layer in error messages.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N).

    Raises:
        UserError: with a state unit: a current or a membrane leaves the range of Loihi's state.
    """
    result = _FusedLIF.apply(
        current_BSN,
        threshold_current_BSA,
        bias_N,
        params,
        alpha,
        overwrite,
        membrane_gradient,
        name,
    )
    assert isinstance(result, tuple)
    return result


def supports(current_BSN: Tensor, spike: object) -> bool:
    """Whether :func:`fused_lif` supports this spike function, dtype and device."""
    return (
        isinstance(spike, AtanSpike)
        and current_BSN.dtype in (torch.float32, torch.float64)
        and current_BSN.numel() > 0
        and not torch.compiler.is_compiling()
        and current_BSN.device.type in KERNELS
        and KERNELS[current_BSN.device.type].available()
    )
