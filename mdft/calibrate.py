"""Data-dependent initialisation of the spiking layers, so that every one of them fires."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.errors import UserError
from mdft.motion import MotionBranch


@torch.no_grad()
def calibrate(
    branch: MotionBranch,
    x_BSF: Tensor,
    current_BS1: Tensor,
    *,
    rate: float = 0.06,
    mask_BS: Tensor | None = None,
) -> list[float]:
    """Scale and shift each layer's parameters so that it fires at ``rate`` on real input.

    Layer by layer, with the spikes of the layers below as input, the rows of ``(W, b)`` are
    replaced by ``g · (W, b') / σ_N``: every neuron's current gets zero mean and the same
    deviation ``g`` over the batch, and ``g`` is bisected until the layer fires at ``rate``. It is
    the initialisation of Mishkin & Matas (LSUV, ICLR 2016) with the firing rate as its target;
    nothing remains at run time, so nothing has to be folded at export.

    Args:
        branch: changed in place.
        x_BSF: a batch of real inputs.
        current_BS1: its threshold currents.
        rate: spikes per neuron and step to aim at.
        mask_BS: bool, True where the step exists; None if all do.

    Returns:
        The firing rate that each layer reached.

    Raises:
        UserError: the input is constant, or no gain reaches the rate.
    """
    if mask_BS is None:
        mask_BS = torch.ones_like(current_BS1[..., 0], dtype=torch.bool)
    reached = []
    for index, linear in enumerate(branch.linears):
        assert isinstance(linear, nn.Linear)
        below_BSF = x_BSF if index == 0 else branch.spikes(x_BSF, current_BS1)[index - 1]
        raw = F.linear(below_BSF, linear.weight)[mask_BS]
        mean_N, std_N = raw.mean(0), raw.std(0)
        if not (std_N > 1e-6).all():
            raise UserError(
                f"MotionBranch layer {index + 1}: its input does not change over the calibration "
                "batch, expected events; check the event threshold and the features"
            )
        weight_NF, bias_N = linear.weight / std_N[:, None], -mean_N / std_N
        low, high = 0.0, 8.0 * branch.theta_0
        for _ in range(12):
            gain = (low + high) / 2
            linear.weight.copy_(gain * weight_NF)
            linear.bias.copy_(gain * bias_N)
            fired = branch.spikes(x_BSF, current_BS1)[index][mask_BS].mean().item()
            low, high = (gain, high) if fired < rate else (low, gain)
        reached.append(fired)
        if not rate / 3 < fired < rate * 3:
            raise UserError(
                f"MotionBranch layer {index + 1}: fires at {fired:.4f} a step after calibration, "
                f"expected about {rate}; the weights left the range of the grid"
            )
    return reached
