"""The LIF over the steps of a sample: one interface to the loop and to the fused kernels."""

from __future__ import annotations

import math

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

    Args:
        current_BSN: input current I of every step, float32 or float64.
        params: β, θ0 and the arithmetic.
        spike: Heaviside with a surrogate gradient.
        threshold_current: b, (B,S,1) or (B,S,N); None is 0.
        bias: (N,); None is 0.
        fused: False takes the loop, which can be differentiated twice.
        overwrite: the kernel may put the membranes in the memory of ``current_BSN``.
        name: what an error calls the layer.

    Returns:
        Spikes (B,S,N), and the membranes before the reset (B,S,N), which carry no gradient.

    Raises:
        ValueError: the threshold current has another shape.
        UserError: with a state unit: ``I + b`` or u leaves the range of Loihi's state.
    """
    B, S, N = current_BSN.shape
    zero = current_BSN.new_zeros(1)
    b_BSM = zero.expand(B, S, 1) if threshold_current is None else threshold_current.to(zero)
    check_moving("lif_sequence: threshold current", b_BSM, current_BSN.shape)
    bias_N = (zero if bias is None else bias.to(zero)).expand(N)
    if fused and supports(current_BSN, spike):
        assert isinstance(spike, AtanSpike)
        return fused_lif(
            current_BSN, b_BSM, bias_N, params, spike.alpha, overwrite=overwrite, name=name
        )
    spikes_BSN, membranes_BSN = lif_loop((current_BSN + bias_N) + b_BSM, params, spike)
    if params.state_unit is not None:
        outside = count_outside(current_BSN + b_BSM, membranes_BSN, params)
        check_range(outside, params, name)
    return spikes_BSN, membranes_BSN


class DynamicThresholdLIF(nn.Module):
    """LIF neurons whose threshold θ(t) moves with every step and sample, eqs. (7) and (8).

    With ``δ(t) = θ(t) − θ0``, the membrane rests at δ(t):

        ``v(t) − δ(t) = β (v(t−1) − δ(t−1)) + I(t) + β δ(t−1) − δ(t)``,

    that is ``v(t) = β v(t−1) + I(t)``; a spike where ``v(t) > θ(t)`` (strict), then
    ``v(t) = δ(t)`` there. It is computed as u = v − δ under the constant threshold θ0, which is
    what NIR and Loihi have. The first step starts at v = 0. Gradients flow to the current, by the
    arctangent surrogate with the reset detached, and to the threshold. No parameters, no state
    between calls, float32 or better under autocast too.

    >>> import torch
    >>> lif = DynamicThresholdLIF(beta=0.5, theta_0=1.0)
    >>> current_BSN = torch.full((1, 6, 1), 0.75)
    >>> lif(current_BSN, torch.full((1, 6, 1), 1.0)).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    >>> lif(current_BSN, torch.full((1, 6, 1), 1.375)).flatten().tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]

    Args:
        beta: leak a step, β = 1 − dt/τ, in [0, 1).
        theta_0: resting threshold θ0, more than 0.
        alpha: sharpness α of the surrogate.
        fused: False takes the plain loop, which can be differentiated twice.

    Raises:
        ValueError: β, θ0 or α out of its range.
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

    def forward(self, current_BSN: Tensor, theta_BSM: Tensor) -> Tensor:
        """Spikes (B,S,N) of every step.

        Args:
            current_BSN: input current I.
            theta_BSM: threshold θ, (B,S,1) for all neurons or (B,S,N) for each.

        Raises:
            ValueError: a shape other than these.
        """
        if current_BSN.ndim != 3:
            raise ValueError(
                f"DynamicThresholdLIF: current has shape {tuple(current_BSN.shape)}, expected "
                "(batch, steps, neurons)"
            )
        check_moving("DynamicThresholdLIF: threshold", theta_BSM, current_BSN.shape)
        with full_precision(current_BSN.device.type):
            current_BSN = at_least_float32(current_BSN)
            delta_BSM = theta_BSM.to(current_BSN.dtype) - self.params.v_threshold
            b_BSM = threshold_current(delta_BSM, self.params.beta)
            return lif_sequence(
                current_BSN, self.params, self.spike, threshold_current=b_BSM, fused=self.fused
            )[0]


def check_moving(what: str, x: Tensor, shape: tuple[int, ...] | torch.Size) -> None:
    """Check a threshold or its current against (B,S,N).

    Raises:
        ValueError: it is neither (B,S,1) nor (B,S,N), or there is no step.
    """
    if shape[1] == 0:
        raise ValueError(f"{what}: the input has 0 steps, expected at least 1")
    expected = (*shape[:2], 1), tuple(shape)
    if tuple(x.shape) not in expected:
        raise ValueError(
            f"{what} has shape {tuple(x.shape)}, expected {expected[0]} or {expected[1]}"
        )
