"""The leaky integrate-and-fire neuron with a dynamic threshold, eqs. (7) to (9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

SpikeFunction = Callable[[Tensor], Tensor]


class LIFParams(NamedTuple):
    """Constants of one LIF layer.

    Attributes:
        beta: leak factor per step, β = 1 − dt/τ.
        v_threshold: θ0; a spike needs ``u > θ0``.
        state_unit: unit of Loihi's integer membrane, a power of two; None: floating point.
    """

    beta: float
    v_threshold: float
    state_unit: float | None = None


@lru_cache(64)
def _around(window: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    """The open interval that contains the same floating-point numbers as a closed one."""
    edges = torch.tensor(window, dtype=dtype, device="cpu")
    low, high = torch.nextafter(edges, edges.new_tensor((-math.inf, math.inf))).tolist()
    return low, high


class _Snap(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        step: float,
        low: int,
        high: int,
        window: tuple[float, float],
        scale: float,
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window, ctx.scale = window, scale
        # Dividing by a power of two is multiplying by its inverse; a multiplication is faster.
        return x.clamp(low * step, high * step).mul_(1 / step).round_().mul_(step * scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        # One pass, where two comparisons, their conjunction and a product take eight times as long.
        inside = torch.ops.aten.hardtanh_backward(grads[0], x, *_around(ctx.window, x.dtype))
        return inside if ctx.scale == 1 else inside.mul_(ctx.scale), None, None, None, None, None


def snap(
    x: Tensor,
    step: float,
    low: int,
    high: int,
    *,
    window: tuple[float, float] | None = None,
    scale: float = 1.0,
) -> Tensor:
    """Round to a grid, with the gradient of a clamp (straight through).

    ``q = scale · step · clip(round(x / step), low, high)``; ties go to the even multiple.

    Args:
        x: any shape.
        step: a power of two, so that the division is exact.
        low: smallest multiple.
        high: largest multiple.
        window: where the gradient passes; None: the range of ``q / scale``.
        scale: a power of two.

    Returns:
        ``q`` exactly, with ``dq/dx = scale`` inside the window and 0 outside.
    """
    q = _Snap.apply(x, step, low, high, window or (low * step, high * step), scale)
    assert isinstance(q, Tensor)
    return q


class _Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        slope = ctx.alpha / 2 / (1 + (math.pi / 2 * ctx.alpha * x) ** 2)
        return slope * grads[0], None


@dataclass(frozen=True)
class AtanSpike:
    """Heaviside forward, arctangent surrogate backward (Fang et al., ICCV 2021; snnTorch's atan).

    ``s = 1[x > 0]``, ``ds/dx = (α/2) / (1 + (π α x / 2)²)``, in the dtype of x.

    Attributes:
        alpha: sharpness α of the surrogate.

    Raises:
        ValueError: α is not a positive number.
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"AtanSpike: alpha is {self.alpha}, expected a positive number")

    def __call__(self, x: Tensor) -> Tensor:
        """Spikes of ``x = u − θ0``."""
        spikes = _Heaviside.apply(x, self.alpha)
        assert isinstance(spikes, Tensor)
        return spikes


class _IntegerLeak(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, beta: float, unit: float) -> Tensor:
        ctx.beta = beta
        # 24 bits of state times 12 bits of β: float64 holds the product.
        return torch.trunc(u.double() * (beta / unit)).mul_(unit).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.beta * grads[0], None, None


def leak(u: Tensor, params: LIFParams) -> Tensor:
    """``β u``, or its value in Loihi's integers, with the gradient β (straight through).

    With a state unit q the membrane is an integer ``m = u/q`` and the leak rounds toward zero:
    ``q · trunc(m (4096 − dv) / 4096)``, ``β = 1 − dv/4096`` (Lava's fixed-point LIF). It is exact
    where ``|m| < 2²³``.
    """
    if params.state_unit is None:
        return params.beta * u
    leaked = _IntegerLeak.apply(u, params.beta, params.state_unit)
    assert isinstance(leaked, Tensor)
    return leaked


def lif_step(
    current_BN: Tensor, u_BN: Tensor, params: LIFParams, spike: SpikeFunction
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """One forward-Euler step of NIR's LIF with ``R = τ/dt`` and ``v_leak = v_reset = 0``.

    Equation (8): ``u ← β u + I``; a spike where ``u > θ0`` (strict); then ``u ← 0`` there, in the
    same step. The reset is detached: no gradient flows through the choice to reset.

    Args:
        current_BN: input current ``I``, with the threshold current ``b`` added.
        u_BN: membrane after the previous step.
        params: β, θ0 and the arithmetic of the leak, see :func:`leak`.
        spike: Heaviside with a surrogate gradient.

    Returns:
        ``((spikes_BN, membrane_BN), u_BN)``: the spikes, the membrane before the reset, and the
        membrane after it.
    """
    membrane_BN = leak(u_BN, params) + current_BN
    x_BN = membrane_BN - params.v_threshold
    u_BN = membrane_BN.masked_fill(x_BN.detach() > 0, 0.0)
    return (spike(x_BN), membrane_BN), u_BN


def lif_loop(
    current_BSN: Tensor,
    params: LIFParams,
    spike: SpikeFunction,
    *,
    membrane_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """The reference implementation: ``lif_step`` over the steps of a sample, from rest.

    Args:
        current_BSN: input current of every step, including biases and threshold current.
        params: β and θ0.
        spike: Heaviside with a surrogate gradient.
        membrane_gradient: whether the returned membranes require a gradient.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N).
    """
    u_BN = torch.zeros_like(current_BSN[:, 0])
    spikes, membranes = [], []
    for current_BN in current_BSN.unbind(1):  # x[:, t] would make the backward quadratic in S
        (spikes_BN, membrane_BN), u_BN = lif_step(current_BN, u_BN, params, spike)
        spikes.append(spikes_BN)
        membranes.append(membrane_BN if membrane_gradient else membrane_BN.detach())
    return torch.stack(spikes, 1), torch.stack(membranes, 1)


def threshold_current(delta_BSA: Tensor, beta: float, previous_BA: Tensor | None = None) -> Tensor:
    """The input current that is equivalent to a dynamic threshold.

    With ``δ(t) = θ(t) − θ0`` and ``u = v − δ``, a neuron with membrane ``v`` and threshold ``θ(t)``
    is equivalent to one with membrane ``u``, constant threshold ``θ0`` and the additional input

        ``b(t) = β δ(t−1) − δ(t)``.

    >>> delta_BS1 = torch.tensor([0.0, 0.5, 0.5, 0.0])[None, :, None]
    >>> threshold_current(delta_BS1, beta=0.5).flatten().tolist()
    [0.0, -0.5, -0.25, 0.25]

    Args:
        delta_BSA: δ of every step, A = 1 for all neurons or A = N for each.
        beta: leak of the LIF.
        previous_BA: δ of the step before the first one; None is 0.

    Returns:
        ``b`` of every step, (B,S,A).
    """
    if previous_BA is None:
        previous_BA = torch.zeros_like(delta_BSA[:, 0])
    previous_BSA = torch.cat([previous_BA[:, None], delta_BSA[:, :-1]], dim=1)
    return beta * previous_BSA - delta_BSA
