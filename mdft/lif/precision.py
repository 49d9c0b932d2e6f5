"""What decides spikes is computed in float32 or better, whatever surrounds it."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(device_type: str) -> torch.autocast:
    """Autocast switched off: spikes need currents and membranes in float32 or better.

    TF32 stays as ``torch.set_float32_matmul_precision`` has it; by default torch uses none. It
    changes no spike of a :class:`mdft.model.motion.MotionBranch` whose input is an 8-bit multiple
    of ``INPUT_GRID``: TF32's 11 bits hold inputs, spikes and weights, and float32 their sum. It
    does round the gradients, which are on no grid, to 11 bits. It is not switched on here for the
    forward alone: the switch is the process's, not a product's, and off the grid the first layer
    would lose bits that nobody gave away.
    """
    return torch.autocast(device_type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """A half-precision tensor as float32; any other as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
