"""Data-dependent initialisation of the spiking layers, so that every one of them fires."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.errors import UserError
from mdft.lif.layer import lif_sequence
from mdft.lif.precision import full_precision
from mdft.model.motion import MotionBranch

#: Bits of a layer's largest weight and of a mean, and significant bits of a scale. Their products
#: have 22 and 24 bits, which a float32 represents exactly.
WEIGHT_BITS, MEAN_BITS, SCALE_BITS = 14, 16, 8


def significant(x: Tensor, bits: int) -> Tensor:
    """``x`` rounded to ``bits`` significant bits."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 2**bits), exponent - bits)


def coarse_step(weight_NF: Tensor) -> float:
    """The power of two whose multiple with ``WEIGHT_BITS`` bits is the layer's largest weight."""
    exponent = torch.frexp(weight_NF.abs().max())[1].item()
    return 2.0 ** (exponent - WEIGHT_BITS)


def fold(
    weight_NF: Tensor, bias_N: Tensor, mean_N: Tensor, scale_N: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold a normalisation with frozen statistics into the Linear before it.

    ``s · (W x + b − μ) = W' x + b'`` with ``W' = s W`` and ``b' = s (b − μ)``, row by row.

    The result is exact in float64, and with ``W'`` and ``b'`` stored in float32, if W and
    ``b − μ`` are multiples of :func:`coarse_step` with at most ``WEIGHT_BITS`` and ``MEAN_BITS``
    bits, s has ``SCALE_BITS`` bits, and x is on the grid of events or spikes. A
    :class:`mdft.model.motion.MotionBranch` then uses the quantised values of ``W'`` and ``b'``.

    Args:
        weight_NF: W.
        bias_N: b.
        mean_N: μ, one per neuron.
        scale_N: s, one per neuron.

    Returns:
        ``W'`` and ``b'``.
    """
    return scale_N[:, None] * weight_NF, scale_N * (bias_N - mean_N)


@torch.no_grad()
def calibrate(
    branch: MotionBranch,
    x_BSF: Tensor,
    current_BSA: Tensor,
    *,
    rate: float = 0.12,
    mask_BS: Tensor | None = None,
) -> list[float]:
    """Scale and shift each layer's parameters so that it fires at ``rate`` on real clips.

    Layer by layer, with the spikes of the layers below as input, every neuron's current is
    normalised over the batch, ``g (W x − μ) / σ``, and ``g`` is bisected until the layer fires at
    ``rate``. :func:`fold` makes the frozen statistics part of the Linear, so that the trained
    model has no normalisation layer. This is the initialisation of Mishkin & Matas (LSUV, ICLR
    2016) with the firing rate as its target.

    A neuron whose current is constant over the batch keeps its weights and gets a zero bias. A
    ``UserWarning`` names a layer in which all currents are constant (the batch has no events),
    and one whose rate differs from ``rate`` by more than a factor of three.

    Args:
        branch: the motion branch, changed in place.
        x_BSF: a batch of real inputs.
        current_BSA: the threshold currents of the batch.
        rate: target firing rate, spikes per neuron and step.
        mask_BS: bool, True where the step exists; None: all steps exist.

    Returns:
        The firing rate of each layer after calibration, with quantised parameters.

    Raises:
        UserError: the rate is not between 0 and 1, or no step exists.
    """
    if mask_BS is None:
        mask_BS = torch.ones(x_BSF.shape[:2], dtype=torch.bool, device=x_BSF.device)
    if not 0 < rate < 1:
        raise UserError(f"calibrate: rate is {rate}, expected between 0 and 1")
    if not mask_BS.any():
        raise UserError(
            "calibrate: the batch has no step, expected at least one clip of at least one second"
        )
    reached, constant, signal_BSF = [], [], x_BSF
    with full_precision(x_BSF.device.type):
        for index in range(branch.layers):
            linear = branch.linear(index)
            if not _normalise(branch, linear, signal_BSF, current_BSA, rate, mask_BS):
                constant.append(index + 1)
            branch.choose_weight_step(index)
            signal_BSF, _ = branch.layer(index, signal_BSF, current_BSA)
            reached.append(signal_BSF[mask_BS].mean().item())
    _warn(branch.name, reached, constant, rate)
    return reached


def _normalise(
    branch: MotionBranch,
    linear: nn.Linear,
    signal_BSF: Tensor,
    current_BSA: Tensor,
    rate: float,
    mask_BS: Tensor,
) -> bool:
    """Fold mean, deviation and gain into a layer; return False if its current is constant.

    The current is computed once. The gains are tried with unquantised weights, because rounding
    to 8 bits hardly changes the rate, and with real-valued membranes.
    """
    weight_NF = linear.weight.double()
    step = coarse_step(weight_NF)
    weight_NF = torch.round(weight_NF / step) * step
    dtype = torch.promote_types(linear.weight.dtype, torch.float32)
    raw_BSN = F.linear(signal_BSF.to(dtype), weight_NF.to(dtype))
    existing = raw_BSN[mask_BS]
    mean_N = significant(torch.round(existing.mean(0).double() / step) * step, MEAN_BITS)
    std_N = existing.std(0, correction=0).double()
    changes_N = std_N > 1e-6
    linear.bias.zero_()
    if not changes_N.any():
        return False
    raw_BSN = (raw_BSN - mean_N.to(dtype)) * torch.where(changes_N, 1 / std_N, 0.0).to(dtype)
    low, high = 0.0, 8.0 * branch.theta_0
    for _ in range(12):
        gain = (low + high) / 2
        spikes_BSN, _ = lif_sequence(
            gain * raw_BSN,
            branch.params,
            branch.spike,
            threshold_current=current_BSA,
            fused=branch.fused,
            overwrite=True,
        )
        fired = spikes_BSN[mask_BS][:, changes_N].mean().item()
        low, high = (gain, high) if fired < rate else (low, gain)
    scale_N = significant((low + high) / 2 / std_N, SCALE_BITS)
    weight_NF, bias_N = fold(weight_NF, torch.zeros_like(mean_N), mean_N, scale_N)
    linear.weight[changes_N] = weight_NF[changes_N].to(linear.weight.dtype)
    linear.bias[changes_N] = bias_N[changes_N].to(linear.bias.dtype)
    return True


def _warn(name: str, reached: list[float], constant: list[int], rate: float) -> None:
    """Warn once, naming every layer with a constant current or a rate far from the target."""
    off = [i for i, r in enumerate(reached, 1) if i not in constant and not rate / 3 < r < rate * 3]
    messages = []
    if constant:
        names = ", ".join(map(str, constant))
        messages.append(
            f"layer {names}: its input is constant over the calibration batch (no events? one "
            "clip? averaged features?); its weights are unchanged"
        )
    if off:
        names = ", ".join(map(str, off))
        rates = ", ".join(f"{reached[i - 1]:.4f}" for i in off)
        messages.append(
            f"layer {names}: fires at {rates} per step after calibration, expected about {rate} "
            "(the threshold is far from theta_0, or weights exceed the quantisation range)"
        )
    if messages:
        warnings.warn(f"{name} " + "; ".join(messages), UserWarning, stacklevel=3)
