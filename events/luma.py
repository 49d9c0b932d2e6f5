"""Luma of colour frames, convention ``full`` of `events.response`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.kernels import pixels as kernels
from mdft.errors import UserError


def rgb_to_luma(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compute full-range luma of RGB bytes, ITU-R BT.601 weights, in integers.

    ``Y = (19595·R + 38470·G + 7471·B + 2^15) >> 16``, that is 0.299 R + 0.587 G + 0.114 B
    rounded half up (Pillow's mode "L"). Gamma is not removed: this is luma, not luminance.

    Args:
        frames: (F, H, W, 3) or any (..., 3) uint8, R G B.

    Returns:
        (F, H, W) uint8, convention ``full``.

    Raises:
        UserError: the dtype or the last axis is wrong.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim < 1 or frames.shape[-1] != 3:
        raise UserError(
            f"frames: found {frames.dtype} {frames.shape}, expected uint8 (..., 3) in R, G, B order"
        )
    flat = np.ascontiguousarray(frames).reshape(-1, 3)
    out = np.empty(len(flat), dtype=np.uint8)
    kernels.luma_bt601(flat, out)
    return out.reshape(frames.shape[:-1])
