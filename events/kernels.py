"""The compiled inner loops of the ideal sensor (numba, cached on disk, without the GIL).

No fast-math: the same float64 operations in the same order as `events.crossings`, so that both
give the same events bit for bit. Indices are unsigned, for numba then leaves out the test for
negative ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from events.response import TIE
from events.simd import LANES, first_bit, outside

#: How every kernel is compiled; error_model: a division by zero is an infinity, not a branch.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_U = np.uint64


class Pixels(NamedTuple):
    """What a pixel remembers between frames; arrays of (P,), P = height·width.

    first: uint8, byte of the first frame. net: int32, K = ON − OFF events so far. offs: int32,
    OFF events so far ((0,) if both thresholds are one). low, high: uint8, bytes from low to high
    are silent. last: int64, time of the last event let out ((0,) without refractory period).
    address: int32, ``(y << bits of x | x) << 1``.
    """

    first: Any
    net: Any
    offs: Any
    low: Any
    high: Any
    last: Any
    address: Any


class Tables(NamedTuple):
    """The sensor in numbers: `events.response.Response` and the two thresholds, in nats."""

    log: Any
    position: Any
    below: Any
    above: Any
    scale: float
    on: float
    off: float


@njit(**OPTIONS)
def detect(frame, low, high, fired):
    """Find the pixels outside their quiet band, ascending; return how many.

    frame, low, high: (P,) uint8; fired: (P,) int32, filled from the front.
    """
    count = _U(0)
    whole = frame.size - frame.size % LANES
    for start in range(0, whole, LANES):
        bits = outside(frame, low, high, start)
        while bits != 0:
            fired[count] = start + first_bit(bits)
            count += _U(1)
            bits &= bits - _U(1)
    for i in range(whole, frame.size):
        if frame[i] < low[i] or frame[i] > high[i]:
            fired[count] = i
            count += _U(1)
    return np.int64(count)


@njit(**OPTIONS)
def crossings(x0, x1, memory, on, off, per_on, per_off, interval):
    """Count the steps from the memory to x1 and place them: (n, up, a, b).

    Step j = 1…n lies at ``a + j·b`` µs after the earlier frame, half a µs included, where
    ``s = interval/(x1 − x0)``, ``a = (memory − x0)·s + ½``, ``b = ±C·s``.
    """
    contrast = x1 - memory
    up = contrast > 0.0
    n = np.int64(abs(contrast) * (per_on if up else per_off) + TIE)
    slope = interval / (x1 - x0)
    return n, up, (memory - x0) * slope + 0.5, (on if up else -off) * slope


@njit(**OPTIONS)
def placed(delay, interval):
    """Cut a delay to whole µs and to the interval; what is no number becomes its end."""
    return np.int64(delay if delay < interval else interval)


@njit(**OPTIONS)
def quiet_band(position, below, above, at, up, down):
    """Return the smallest and largest byte of positions inside (at − down, at + up)."""
    low_edge, high_edge = at - down, at + up
    high = _U(below[_U(np.int64(min(high_edge, below.size - 1.0)))])
    high += _U(position[high + _U(2)] < high_edge)
    low = _U(above[_U(np.int64(max(low_edge + 1.0, 0.0)))])
    low -= _U(position[low] > low_edge)
    return low, high


@njit(**OPTIONS)
def first_bands(pixels, tables):
    """Write the quiet bands of pixels that have just seen their first frame, level 0."""
    up, down = band_widths(tables)
    for i in range(pixels.first.size):
        at = tables.position[pixels.first[i] + 1]
        pixels.low[i], pixels.high[i] = quiet_band(
            tables.position, tables.below, tables.above, at, up, down
        )


@njit(**OPTIONS)
def band_widths(tables):
    """Return how far up and down a pixel is silent, in buckets; shy of ties on the safe side.

    A byte wrongly called loud costs a look at it, one wrongly called silent an event.
    """
    shy = 1.0 - 2.0 * TIE
    return tables.on * shy * tables.scale, tables.off * shy * tables.scale


@njit(**OPTIONS)
def memory_of(i, net, pixels, tables):
    """Return the memory r of pixel i, whose K is `net`, in nats above L of its first frame."""
    excess = tables.on - tables.off
    return net * tables.on + (pixels.offs[i] * excess if excess != 0.0 else 0.0)


@njit(**OPTIONS)
def settle(i, n, up, pixels, tables):
    """Move the memory of pixel i by n steps, and its quiet band with it."""
    net = pixels.net[i] + (n if up else -n)
    pixels.net[i] = net
    if tables.on != tables.off:
        pixels.offs[i] += 0 if up else n
    up_width, down_width = band_widths(tables)
    at = tables.position[_U(pixels.first[i]) + _U(1)]
    at += memory_of(i, net, pixels, tables) * tables.scale
    pixels.low[i], pixels.high[i] = quiet_band(
        tables.position, tables.below, tables.above, at, up_width, down_width
    )


@njit(**OPTIONS)
def emit(fired, frame, previous, pixels, tables, begin, time0, interval, refractory, shift, keys,
         pos):  # fmt: skip
    """Write the events of pixels ``begin + fired`` from ``keys[pos]`` on, move their memory.

    A key is ``delay << shift | address | polarity``, in raster order of the pixels and in the
    order in which a pixel crossed its levels. Returns the position after the last key; negative,
    ``−1 − position``, if there was no room: grow the keys and do the frame once more, for what
    has been done is silent by then.
    """
    on, off, log = tables.on, tables.off, tables.log
    per_on, per_off = 1.0 / on, 1.0 / off
    top, room = np.float64(interval), keys.size - 2
    for j in range(fired.size):
        here = _U(fired[_U(j)])
        i = here + _U(begin)
        base = log[_U(pixels.first[i])]
        memory = memory_of(i, pixels.net[i], pixels, tables)
        x0, x1 = log[_U(previous[here])] - base, log[_U(frame[here])] - base
        n, up, a, b = crossings(x0, x1, memory, on, off, per_on, per_off, top)
        if pos + n > room:
            return -1 - pos
        code = np.int64(pixels.address[i]) | np.int64(up)
        if refractory > 0:
            for step in range(1, n + 1):
                delay = placed(a + step * b, top)
                # The memory moves even when the event is swallowed, as in a real pixel.
                if time0 + delay - pixels.last[i] >= refractory:
                    pixels.last[i] = time0 + delay
                    keys[_U(pos)] = (delay << shift) | code
                    pos += 1
        else:
            # Most pixels make one or two steps: writing both beats guessing which.
            keys[_U(pos)] = (placed(a + b, top) << shift) | code
            keys[_U(pos) + _U(1)] = (placed(a + 2 * b, top) << shift) | code
            if n > 2:
                for step in range(3, n + 1):
                    delay = placed(a + step * b, top)
                    keys[_U(pos + step) - _U(1)] = (delay << shift) | code
            pos += n
        settle(i, n, up, pixels, tables)
    return pos


@njit(**OPTIONS)
def run_lane(frames, previous, times, pixels, tables, refractory, shift, lane, fired, keys, starts,
             cursor):  # fmt: skip
    """Emit the events of one lane (some of the pixels) over several frames, into `keys`.

    frames: (F,P) uint8. previous: (P,) uint8, the frame before. times: (F+1,) int64 with its
    time. lane: (begin, end) pixels. fired: (end − begin,) int32. keys: (room,) int64. starts:
    (F+1,) int64, where in keys each interval's events begin. cursor: next frame and position,
    where to go on after the keys have grown.
    """
    begin, end = lane
    low, high = pixels.low[begin:end], pixels.high[begin:end]
    for f in range(cursor[0], len(frames)):
        frame = frames[f, begin:end]
        before = frames[f - 1, begin:end] if f > 0 else previous[begin:end]
        count = detect(frame, low, high, fired)
        pos = emit(
            fired[:count], frame, before, pixels, tables, begin, times[f],
            times[f + 1] - times[f], refractory, shift, keys, cursor[1],
        )  # fmt: skip
        cursor[0], cursor[1] = f, max(pos, -1 - pos)
        if pos < 0:
            return
        starts[f + 1] = pos
    cursor[0] = len(frames)


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
