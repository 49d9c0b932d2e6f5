"""Compute currents and membranes in float32 or better, also under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(device_type: str) -> torch.autocast:
    """A context without autocast: spikes need currents and membranes in float32 or better.

    TF32 is left as set by ``torch.set_float32_matmul_precision`` (off by default). It changes no
    spike of a :class:`mdft.model.motion.MotionBranch` whose input is an 8-bit multiple of
    ``INPUT_GRID``: TF32's 11 bits represent inputs, spikes and weights exactly, and float32 their
    sum. It rounds the gradients, which are not on the grid, to 11 bits. It is not enabled here for
    the forward pass: the setting is global, and the first layer would lose precision for inputs
    that are not on the grid.
    """
    return torch.autocast(device_type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """Cast a half-precision tensor to float32; return any other unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
