"""Convert a decoder's frame to 8-bit luma and RGB, upright.

Luma is the decoder's Y plane if there is one, of limited or full range as the frame
declares (undeclared: limited, but full for yuvj and gray, as FFmpeg assumes)::

    limited, b bits:  luma = 255·(Y/2^(b−8) − 16)/219      clipped to 0…255, rounded half up
    full, b bits:     luma = 255·Y/(2^b − 1)               rounded half up

Samples of 8 bits are not changed and keep their range; samples of more bits are converted to 8 bits
of full range, because the generator works on bytes. A pixel format without a Y plane is converted
to RGB and by `events.rgb_to_luma`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from events.kernels import pixels as kernels
from events.luma import rgb_to_luma
from events.video.orientation import Orientation

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_SUBSAMPLING = ("410", "411", "420", "422", "440", "444")
#: Formats with a Y plane: bits per sample, and their shift within the word.
_Y_PLANE: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("gray", "nv12", "nv21", "nv16", "nv24"), (8, 0)),
    **{f"yuv{j}{s}p": (8, 0) for s in _SUBSAMPLING for j in ("", "j")},
    **{f"yuva{s}p": (8, 0) for s in ("420", "422", "444")},
    **{f"yuv{s}p{b}le": (b, 0) for s in ("420", "422", "440", "444") for b in (9, 10, 12, 14, 16)},
    **{f"gray{b}le": (b, 0) for b in (9, 10, 12, 14, 16)},
    **{"p010le": (10, 6), "p012le": (12, 4), "p016le": (16, 0), "p210le": (10, 6)},
}


def bits_of(frame: VideoFrame) -> int:
    """Return the bits of a luma sample; 8 for a format without a Y plane."""
    return _Y_PLANE.get(frame.format.name, (8, 0))[0]


def limited_range(frame: VideoFrame) -> bool:
    """Return whether the result of `plane_of` has limited range."""
    return _Y_PLANE.get(frame.format.name) == (8, 0) and not _full_range(frame)


def plane_of(frame: VideoFrame, orientation: Orientation) -> tuple[NDArray[np.uint8], bool]:
    """Return the 8-bit luma (H, W) of a decoded frame, upright, and whether its range is limited.

    Bytes of limited range are not changed, because `events.response` includes the range in its
    table (``limited``…); all others have full range.
    """
    if frame.format.name not in _Y_PLANE:
        rgb = cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24"))
        return orientation.upright(rgb_to_luma(rgb)), False
    bits, shift = _Y_PLANE[frame.format.name]
    plane = frame.planes[0]
    dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
    raw = np.frombuffer(cast(Any, plane), dtype=dtype)
    view = raw.reshape(-1, plane.line_size // dtype.itemsize)[: frame.height, : frame.width]
    if bits > 8:
        luma = deep_table(bits, _full_range(frame))[view >> shift]
        return orientation.upright(luma), False
    return orientation.upright(view.astype(np.uint8)), limited_range(frame)


def expanded(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Expand limited-range bytes to full range: 255·(Y − 16)/219, clipped, rounded half up."""
    out = np.empty(plane.shape, dtype=np.uint8)
    kernels.expand_limited(plane, out)
    return out


def rgb_of(
    frame: VideoFrame, orientation: Orientation, width: int | None, height: int | None
) -> NDArray[np.uint8]:
    """Convert a frame to (H, W, 3) uint8 RGB, full range, upright; resized if a size is given."""
    if orientation.transposed:
        width, height = height, width
    scaled = frame.to_ndarray(format="rgb24", width=width, height=height)
    return orientation.upright(cast(NDArray[np.uint8], scaled))


@lru_cache(maxsize=8)
def deep_table(bits: int, full: bool) -> NDArray[np.uint8]:
    """Tabulate the 8-bit luma of every sample of more than 8 bits; (2^bits,) uint8."""
    y = np.arange(1 << bits, dtype=np.float64)
    luma = y * (255.0 / ((1 << bits) - 1)) if full else (y / (1 << (bits - 8)) - 16) * (255 / 219)
    return np.floor(luma.clip(0, 255) + 0.5).astype(np.uint8)


def _full_range(frame: VideoFrame) -> bool:
    declared, name = int(frame.color_range), frame.format.name
    by_name = name.startswith(("yuvj", "gray"))
    return declared == _FULL_RANGE or (by_name and not declared)
