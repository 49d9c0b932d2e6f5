"""The compiled loops of the ideal sensor, pixel by pixel (numba, cached on disk, without the GIL).

fast-math is off: the float64 operations and their order are those of `events.crossings`, so that
both give bit-equal events. Indices are unsigned, so that numba omits the test for negative ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from events.kernels.compiled import njit
from events.kernels.simd import LANES, first_bit, ones, outside

# A contrast that is short of a whole step by less than this counts as the step: the difference of
# two rounded logarithms misses a multiple of C by about an ulp, but a tie of the real numbers must
# be a tie here; 1e-9 of a step is far below the resolution of a byte.
TIE = 1e-9
#: Options of every kernel; error_model: a division by zero gives infinity, without a branch.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
#: Options of kernels that are called per tile or pixel; without inlining, calls and reference
#: counts take a tenth of the time.
INLINE: dict[str, Any] = {**OPTIONS, "forceinline": True}
#: The extra items that `detect` needs after its pixels.
SPARE = 8
_U = np.uint64


class Pixels(NamedTuple):
    """The state of the pixels between frames; arrays of (P,), P = height·width.

    first: uint8, byte of the first frame. net: int32, K = ON − OFF events so far. offs: int32,
    OFF events so far ((0,) if both thresholds are equal). low, high: uint8, bytes from low to high
    cause no event. last: int64, time of the last event kept ((0,) without refractory period).
    """

    first: Any
    net: Any
    offs: Any
    low: Any
    high: Any
    last: Any


class Tables(NamedTuple):
    """The sensor's parameters: `events.response.Response`, thresholds in nats and their inverses.

    The inverses are stored to avoid a division per pixel.
    """

    log: Any
    below: Any
    above: Any
    scale: float
    on: float
    off: float
    per_on: float
    per_off: float


@njit(**INLINE)
def detect(frame, low, high, fired):
    """Find the pixels outside their quiet band, in ascending order; return their number.

    frame, low, high: (P,) uint8; fired: (P + SPARE,) int32, filled from the front. Items
    after the last one are overwritten: a branch per pixel would be mispredicted too often.
    """
    count = _U(0)
    whole = frame.size - frame.size % LANES
    for start in range(0, whole, LANES):
        bits, at = outside(frame, low, high, start), count
        count += ones(bits)
        while bits != 0:
            for step in range(SPARE):
                fired[at + _U(step)] = start + first_bit(bits)
                bits &= bits - _U(1)
            at += _U(SPARE)
    for i in range(whole, frame.size):
        if frame[i] < low[i] or frame[i] > high[i]:
            fired[count] = i
            count += _U(1)
    return np.int64(count)


@njit(**INLINE)
def crossings(x0, x1, memory, on, off, per_on, per_off, interval):
    """Count the steps from the memory to x1 and place them: (n, up, a, b).

    Step j = 1…n lies at ``a + j·b`` µs after the earlier frame, half a µs included, where
    ``s = interval/(x1 − x0)``, ``a = (memory − x0)·s + ½``, ``b = ±C·s``.
    """
    contrast = x1 - memory
    up = contrast > 0.0
    n = np.int32(abs(contrast) * (per_on if up else per_off) + TIE)
    slope = interval / (x1 - x0)
    return n, up, (memory - x0) * slope + 0.5, (on if up else -off) * slope


@njit(**INLINE)
def placed(delay, interval):
    """Truncate a delay to whole µs and to the interval; NaN becomes the end of the interval."""
    return np.int64(delay if delay < interval else interval)


@njit(**INLINE)
def quiet_buckets(at, up, down, buckets):
    """Return the buckets of `Tables.above` and `below` for the band (at − down, at + up)."""
    return np.int32(max(at - down + 1.0, 0.0)), np.int32(min(at + up, buckets - 1.0))


@njit(**OPTIONS)
def first_bands(pixels, tables):
    """Write the quiet bands of pixels after their first frame, level 0."""
    up, down = band_widths(tables)
    for i in range(pixels.first.size):
        at = (tables.log[pixels.first[i]] - tables.log[0]) * tables.scale
        low, high = quiet_buckets(at, up, down, tables.below.size)
        pixels.low[i], pixels.high[i] = tables.above[low], tables.below[high]


@njit(**INLINE)
def band_widths(tables):
    """Return the quiet band upwards and downwards, in buckets, slightly reduced because of ties."""
    shy = 1.0 - 2.0 * TIE
    return tables.on * shy * tables.scale, tables.off * shy * tables.scale


@njit(**INLINE)
def memory_of(i, pixels, tables):
    """Return the memory r of pixel i, in nats above L of its first frame."""
    excess = tables.on - tables.off
    return pixels.net[i] * tables.on + (pixels.offs[i] * excess if excess != 0.0 else 0.0)


@njit(**OPTIONS)
def luma_bt601(rgb, out):
    """Write the full-range luma of (P, 3) uint8 into (P,) uint8; see `luma.rgb_to_luma`."""
    for i in range(out.size):
        r, g, b = np.uint32(rgb[i, 0]), np.uint32(rgb[i, 1]), np.uint32(rgb[i, 2])
        weighted = np.uint32(19595) * r + np.uint32(38470) * g + np.uint32(7471) * b
        out[i] = (weighted + np.uint32(32768)) >> np.uint32(16)


@njit(**OPTIONS)
def expand_limited(plane, out):
    """Write full-range luma round(255·(y − 16)/219), clipped to a byte; (H, W) uint8 both.

    76309 = round(2¹⁶·255/219): exact rounding for every byte (tested), and it vectorises.
    """
    for row in range(plane.shape[0]):
        source, target = plane[row], out[row]
        for i in range(source.size):
            y = min(max(np.int32(source[i]), np.int32(16)), np.int32(235)) - np.int32(16)
            target[i] = (y * np.int32(76309) + np.int32(32768)) >> np.int32(16)
