"""What decides spikes is computed in float32 or better, whatever surrounds it."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(device_type: str) -> torch.autocast:
    """Autocast switched off: spikes need currents and membranes in float32 or better."""
    return torch.autocast(device_type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """A half-precision tensor as float32; any other as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
