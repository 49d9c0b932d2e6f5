"""LIF layers over a sequence of steps, computed by a loop or by fused kernels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdft.lif.fused import fused_lif, supports
from mdft.lif.loihi import check_range, count_outside
from mdft.lif.neuron import AtanSpike, LIFParams, SpikeFunction, lif_loop, threshold_current
from mdft.lif.precision import at_least_float32, full_precision


def lif_sequence(
    current_BSN: Tensor,
    params: LIFParams,
    spike: SpikeFunction,
    *,
    threshold_current: Tensor | None = None,
    bias: Tensor | None = None,
    fused: bool = True,
    overwrite: bool = False,
    membrane_gradient: bool = False,
    name: str = "lif_sequence",
) -> tuple[Tensor, Tensor]:
    """LIF neurons from rest, eq. (8): ``u(t) = β u(t−1) + ((I(t) + bias) + b(t))``.

    A spike where ``u(t) > θ0`` (strict), then ``u(t) = 0`` there. It is computed by the loop over
    :func:`mdft.lif.neuron.lif_step`, or with an :class:`mdft.lif.neuron.AtanSpike` by a kernel
    (numba on the CPU, Triton on CUDA) with the same spikes and membranes, bit for bit, and the same
    gradient up to rounding. Under ``torch.compile`` it is the loop.

    With a state unit q in ``params`` the leak is that of Loihi's integers, ``q · trunc(β u / q)``,
    with the gradient β. On the grids of a :class:`mdft.model.motion.MotionBranch` float32 then
    holds every integer of 24 bits and every sum of them: spikes and membranes are those of Lava's
    fixed-point LIF.

    >>> params = LIFParams(beta=0.5, v_threshold=1.0)
    >>> spikes, membranes = lif_sequence(torch.full((1, 4, 1), 0.75), params, AtanSpike())
    >>> spikes.flatten().tolist(), membranes.flatten().tolist()
    ([0.0, 1.0, 0.0, 1.0], [0.75, 1.125, 0.75, 1.125])

    Args:
        current_BSN: input current I of every step, float32 or float64.
        params: β, θ0 and the arithmetic.
        spike: Heaviside with a surrogate gradient.
        threshold_current: b, (B,S,1) or (B,S,N); None is 0.
        bias: (N,); None is 0.
        fused: False uses the loop, which can be differentiated twice.
        overwrite: the kernel may store the membranes in the memory of ``current_BSN``.
        membrane_gradient: whether the returned membranes require a gradient.
        name: name of the layer in error messages.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N).

    Raises:
        ValueError: the threshold current has another shape.
        UserError: with a state unit: ``I + b`` or u leaves the range of Loihi's state.
    """
    B, S, N = current_BSN.shape
    zero = current_BSN.new_zeros(1)
    b_BSA = zero.expand(B, S, 1) if threshold_current is None else threshold_current.to(zero)
    check_moving("lif_sequence: threshold current", b_BSA, current_BSN.shape)
    bias_N = (zero if bias is None else bias.to(zero)).expand(N)
    if fused and supports(current_BSN, spike):
        assert isinstance(spike, AtanSpike)
        return fused_lif(
            current_BSN,
            b_BSA,
            bias_N,
            params,
            spike.alpha,
            overwrite=overwrite,
            membrane_gradient=membrane_gradient,
            name=name,
        )
    spikes_BSN, membranes_BSN = lif_loop(
        (current_BSN + bias_N) + b_BSA, params, spike, membrane_gradient=membrane_gradient
    )
    if params.state_unit is not None:
        outside = count_outside(current_BSN + b_BSA, membranes_BSN, params)
        check_range(outside, params, name)
    return spikes_BSN, membranes_BSN


class LIFState(NamedTuple):
    """State of a :class:`DynamicThresholdLIF` after its last step.

    Attributes:
        u_BN: membrane above its resting potential after the reset, ``u = v − δ``.
        delta_BA: ``δ = θ − θ0`` of that step, (B,1) for all neurons or (B,N) for each.
    """

    u_BN: Tensor
    delta_BA: Tensor


class LIFTrace(NamedTuple):
    """Result of :meth:`DynamicThresholdLIF.trace`.

    Attributes:
        spikes_BSN: 0 or 1.
        membrane_BSN: v of every step before the reset.
        state: after the last step.
    """

    spikes_BSN: Tensor
    membrane_BSN: Tensor
    state: LIFState


class DynamicThresholdLIF(nn.Module):
    """LIF neurons whose threshold θ(t) moves with every step and sample, eqs. (7) and (8).

    With ``δ(t) = θ(t) − θ0``, the membrane rests at δ(t):

        ``v(t) − δ(t) = β (v(t−1) − δ(t−1)) + I(t) + β δ(t−1) − δ(t)``,

    that is ``v(t) = β v(t−1) + I(t)``; a spike where ``v(t) > θ(t)`` (strict), then
    ``v(t) = δ(t)`` there. It is computed as u = v − δ under the constant threshold θ0, which is
    what NIR and Loihi have. Without a state the first step starts at v = 0. Gradients flow to the
    current, the threshold and the state, by the arctangent surrogate with the reset detached. No
    parameters and no state between calls; float32 or better under autocast too.

    >>> import torch
    >>> lif = DynamicThresholdLIF(beta=0.5, theta_0=1.0)
    >>> current_BSN = torch.full((1, 6, 1), 0.75)
    >>> lif(current_BSN).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    >>> lif(current_BSN, theta=1.375).flatten().tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]

    In a sequence of layers, with the constant threshold θ0:

    >>> network = torch.nn.Sequential(torch.nn.Linear(8, 4), DynamicThresholdLIF())
    >>> network(torch.rand(2, 6, 8)).shape
    torch.Size([2, 6, 4])

    A sequence in parts, here step by step, gives what it gives at once:

    >>> spikes, state = [], None
    >>> for step_B1N in current_BSN.split(1, dim=1):
    ...     spikes_B1N, state = lif(step_B1N, state=state, return_state=True)
    ...     spikes.append(spikes_B1N)
    >>> torch.cat(spikes, dim=1).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    >>> lif.trace(current_BSN).membrane_BSN.flatten().tolist()
    [0.75, 1.125, 0.75, 1.125, 0.75, 1.125]

    Args:
        beta: leak a step, β = 1 − dt/τ, in [0, 1).
        theta_0: resting threshold θ0, more than 0.
        alpha: sharpness α of the surrogate.
        fused: False uses the plain loop, which can be differentiated twice.

    Raises:
        ValueError: β, θ0 or α is out of its range.
    """

    def __init__(
        self, beta: float = 0.5, theta_0: float = 1.0, alpha: float = 2.0, *, fused: bool = True
    ) -> None:
        super().__init__()
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"DynamicThresholdLIF: beta is {beta}, expected 0 <= beta < 1")
        if not 0 < theta_0 < math.inf:
            raise ValueError(
                f"DynamicThresholdLIF: theta_0 is {theta_0}, expected a positive number"
            )
        self.params, self.spike, self.fused = LIFParams(beta, theta_0), AtanSpike(alpha), fused

    def extra_repr(self) -> str:
        """β, θ0 and α; ``fused`` where it is not the default."""
        beta, theta_0, _ = self.params
        fused = "" if self.fused else ", fused=False"
        return f"beta={beta}, theta_0={theta_0}, alpha={self.spike.alpha}{fused}"

    def forward(
        self,
        current_BSN: Tensor,
        theta: Tensor | float | None = None,
        *,
        state: LIFState | None = None,
        return_state: bool = False,
    ) -> Tensor | tuple[Tensor, LIFState]:
        """Compute the spikes (B,S,N) of every step.

        Args:
            current_BSN: input current I; half precision is cast to float32.
            theta: threshold θ, a number or a tensor that broadcasts to (B,S,1) or, for one
                threshold per neuron, to (B,S,N); None is θ0.
            state: state returned by an earlier call; None is rest.
            return_state: return ``(spikes, state)``.

        Raises:
            ValueError: a tensor has another shape.
        """
        spikes_BSN, u_BSN, delta_BSA = self._run(current_BSN, theta, state)
        if not return_state:
            return spikes_BSN
        return spikes_BSN, _last_state(spikes_BSN, u_BSN, delta_BSA)

    def trace(
        self,
        current_BSN: Tensor,
        theta: Tensor | float | None = None,
        *,
        state: LIFState | None = None,
    ) -> LIFTrace:
        """Spikes, membranes and the last state; the arguments of :meth:`forward`.

        Raises:
            ValueError: a shape other than those.
        """
        spikes_BSN, u_BSN, delta_BSA = self._run(current_BSN, theta, state)
        state = _last_state(spikes_BSN, u_BSN, delta_BSA)
        return LIFTrace(spikes_BSN, u_BSN + delta_BSA, state)

    def _run(
        self, current_BSN: Tensor, theta: Tensor | float | None, state: LIFState | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes, membranes ``u = v − δ`` before the reset, and δ, of every step."""
        if current_BSN.ndim != 3:
            raise ValueError(
                f"DynamicThresholdLIF: current has shape {tuple(current_BSN.shape)}, expected "
                "(batch, steps, neurons)"
            )
        beta, theta_0, _ = self.params
        with full_precision(current_BSN.device.type):
            current_BSN = at_least_float32(current_BSN)
            theta_BSA = broadcast(
                "DynamicThresholdLIF: threshold", theta_0 if theta is None else theta, current_BSN
            )
            delta_BSA = theta_BSA.to(current_BSN.dtype) - theta_0
            if state is None:
                b_BSA = threshold_current(delta_BSA, beta)
            else:
                current_BSN, b_BSA = self._from_state(current_BSN, delta_BSA, state)
            spikes_BSN, u_BSN = lif_sequence(
                current_BSN,
                self.params,
                self.spike,
                threshold_current=b_BSA,
                fused=self.fused,
                membrane_gradient=True,
            )
            return spikes_BSN, u_BSN, delta_BSA

    def _from_state(
        self, current_BSN: Tensor, delta_BSA: Tensor, state: LIFState
    ) -> tuple[Tensor, Tensor]:
        """Fold the initial state into the first step's current, since the kernels start at rest.

        The new first current is ``β u(−1) + (I(0) + b(0))``, rounded as in the kernels.
        """
        B, S, N = current_BSN.shape
        u_BN, previous_BA = (x.to(current_BSN) for x in state)
        if u_BN.shape != (B, N) or previous_BA.shape not in ((B, 1), (B, N)):
            raise ValueError(
                f"DynamicThresholdLIF: state has shapes {tuple(u_BN.shape)} and "
                f"{tuple(previous_BA.shape)}, expected {(B, N)} and {(B, 1)} or {(B, N)}"
            )
        A = max(previous_BA.shape[-1], delta_BSA.shape[-1])
        beta = self.params.beta
        b_BSA = threshold_current(delta_BSA.expand(B, S, A), beta, previous_BA.expand(B, A))
        first_B1N = beta * u_BN[:, None] + (current_BSN[:, :1] + b_BSA[:, :1])
        current_BSN = torch.cat([first_B1N, current_BSN[:, 1:]], dim=1)
        return current_BSN, torch.cat([torch.zeros_like(b_BSA[:, :1]), b_BSA[:, 1:]], dim=1)


def _last_state(spikes_BSN: Tensor, u_BSN: Tensor, delta_BSA: Tensor) -> LIFState:
    fired_BN = spikes_BSN[:, -1].detach() > 0
    return LIFState(u_BSN[:, -1].masked_fill(fired_BN, 0.0), delta_BSA[:, -1])


def broadcast(what: str, x: Tensor | float, like_BSN: Tensor) -> Tensor:
    """Broadcast a threshold or threshold current to (B,S,1), or to (B,S,N) if it has neurons.

    Args:
        what: name of the quantity in error messages.
        x: a number or a tensor that broadcasts to either shape.
        like_BSN: gives the shape, and the dtype and device for a number; a tensor keeps its own.

    Raises:
        ValueError: x broadcasts to neither shape, or S is 0.
    """
    B, S, N = like_BSN.shape
    if not isinstance(x, Tensor):
        x = like_BSN.new_full((), x)
    if x.ndim <= 3 and all(n in (1, m) for n, m in zip(x.shape[::-1], (N, S, B), strict=False)):
        x = x.expand(B, S, x.shape[-1] if x.ndim else 1)
    check_moving(what, x, (B, S, N))
    return x


def check_moving(what: str, x: Tensor, shape: tuple[int, ...] | torch.Size) -> None:
    """Check the shape of a threshold or threshold current.

    Raises:
        ValueError: the shape is neither (B,S,1) nor (B,S,N), or S is 0.
    """
    if shape[1] == 0:
        raise ValueError(f"{what}: the input has 0 steps, expected at least 1")
    expected = (*shape[:2], 1), tuple(shape)
    if tuple(x.shape) not in expected:
        raise ValueError(
            f"{what} has shape {tuple(x.shape)}, expected {expected[0]} or {expected[1]}"
        )
