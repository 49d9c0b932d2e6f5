"""The compiled loops that write the keys of events and update the state of pixels.

The pixels of a tile that have events go through three short loops: crossed levels (`cross`), new
memory and quiet band (`settle`), and keys (`write`). In a single loop, a mispredicted number of
events of a pixel would discard the arithmetic of the next one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from events.kernels.compiled import njit
from events.kernels.pixels import (
    INLINE,
    OPTIONS,
    SPARE,
    band_widths,
    crossings,
    detect,
    memory_of,
    placed,
    quiet_buckets,
)
from events.kernels.simd import write_keys

TILE = 4096  # pixels; their data stay in the cache from loop to loop
_GROUP = 4  # keys that are written at once, as one vector
_U = np.uint64


class Steps(NamedTuple):
    """The signals and crossings of a tile's pixels, (TILE,) each.

    before, now, first: float64, L of the two frames and of the first one, nats. memory: float64
    nats above `first`. a, b: float64, step j lies at ``a + j·b`` µs; n: int32, number of steps,
    negative if downwards: see `events.kernels.pixels.crossings`. low, high: int32, the buckets
    between which the pixel now has no events.
    """

    before: Any
    now: Any
    first: Any
    memory: Any
    a: Any
    b: Any
    n: Any
    low: Any
    high: Any


@njit(**OPTIONS)
def no_steps():
    """Allocate a tile's steps."""
    one, two, three, four = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    n, low, high = np.empty(TILE, np.int32), np.empty(TILE, np.int32), np.empty(TILE, np.int32)
    return Steps(one, two, three, four, np.empty(TILE), np.empty(TILE), n, low, high)


@njit(**INLINE)
def _look(fired, frame, previous, pixels, tables, begin, steps):
    """Look up signals and memory of pixels ``begin + fired``, at most a tile."""
    log = tables.log
    for j in range(fired.size):
        here = _U(fired[_U(j)])
        i = here + _U(begin)
        steps.before[_U(j)] = log[_U(previous[here])]
        steps.now[_U(j)] = log[_U(frame[here])]
        steps.first[_U(j)] = log[_U(pixels.first[i])]
        steps.memory[_U(j)] = memory_of(i, pixels, tables)


@njit(**INLINE)
def _place(count, tables, interval, steps):
    """Compute the steps of `count` pixels and their new quiet bands.

    The loop has no branches and no table look-ups, so that it is vectorised. Returns the total
    number of steps.
    """
    on, off, per_on, per_off = tables.on, tables.off, tables.per_on, tables.per_off
    up_width, down_width = band_widths(tables)
    dark, scale, buckets = tables.log[0], tables.scale, tables.below.size
    total = 0
    for j in range(count):
        first, memory = steps.first[_U(j)], steps.memory[_U(j)]
        x0, x1 = steps.before[_U(j)] - first, steps.now[_U(j)] - first
        n, up, a, b = crossings(x0, x1, memory, on, off, per_on, per_off, interval)
        steps.a[_U(j)], steps.b[_U(j)] = a, b
        steps.n[_U(j)] = n if up else -n
        at = (first - dark + (memory + n * (on if up else -off))) * scale
        low, high = quiet_buckets(at, up_width, down_width, buckets)
        steps.low[_U(j)], steps.high[_U(j)] = low, high
        total += n
    return total


@njit(**INLINE)
def cross(fired, frame, previous, pixels, tables, begin, interval, steps):
    """Compute the steps of pixels ``begin + fired``, at most a tile; return their total number."""
    _look(fired, frame, previous, pixels, tables, begin, steps)
    return _place(fired.size, tables, interval, steps)


@njit(**INLINE)
def settle(fired, steps, pixels, tables, begin):
    """Update the memories and quiet bands of pixels ``begin + fired`` by their steps."""
    for j in range(fired.size):
        i, n = _U(fired[_U(j)]) + _U(begin), steps.n[_U(j)]
        pixels.net[i] += n
        if tables.on != tables.off:
            pixels.offs[i] -= min(n, np.int32(0))
        pixels.low[i] = tables.above[_U(steps.low[_U(j)])]
        pixels.high[i] = tables.below[_U(steps.high[_U(j)])]


@njit(**INLINE)
def write(fired, steps, begin, interval, shift, keys, pos):
    """Write the keys of a tile's steps from ``keys[pos]`` on; return the position after them.

    Up to `_GROUP` keys after the last are overwritten.
    """
    for j in range(fired.size):
        a, b, n = steps.a[_U(j)], steps.b[_U(j)], steps.n[_U(j)]
        code = (np.int64(fired[_U(j)]) + begin) << 1 | (n > 0)
        n = abs(n)
        write_keys(keys, pos, a, b, 0.0, interval, shift, code)
        if n > _GROUP:
            for done in range(_GROUP, n, _GROUP):
                write_keys(keys, pos + done, a, b, np.float64(done), interval, shift, code)
        pos += n
    return pos


@njit(**INLINE)
def write_awake(fired, steps, begin, time0, interval, refractory, last, shift, keys, pos):
    """Write the keys of a tile's steps, except those within `refractory` µs of a pixel's last."""
    for j in range(fired.size):
        i = np.int64(fired[_U(j)]) + begin
        a, b, n = steps.a[_U(j)], steps.b[_U(j)], steps.n[_U(j)]
        for step in range(1, abs(n) + 1):
            delay = placed(a + step * b, interval)
            if time0 + delay - last[_U(i)] >= refractory:
                last[_U(i)] = time0 + delay
                keys[_U(pos)] = (delay << shift) | i << 1 | (n > 0)
                pos += 1
    return pos


@njit(**INLINE)
def emit(fired, frame, previous, pixels, tables, begin, time0, interval, refractory, shift, steps,
         keys, pos):  # fmt: skip
    """Write the events of pixels ``begin + fired`` from ``keys[pos]`` on; update their memory.

    A key is ``delay << shift | pixel << 1 | polarity``, in raster order of the pixels and in the
    order in which a pixel crossed its levels. Returns the position after the last key; negative,
    ``−1 − position``, if the keys are full: grow them and repeat the frame; the
    pixels that are done have no more events in it.
    """
    top = np.float64(interval)
    total = cross(fired, frame, previous, pixels, tables, begin, top, steps)
    if pos + total > keys.size - _GROUP:
        return -1 - pos
    # The memory moves even if the refractory period drops an event, as in a real pixel.
    settle(fired, steps, pixels, tables, begin)
    if refractory > 0:
        last = pixels.last
        return write_awake(fired, steps, begin, time0, top, refractory, last, shift, keys, pos)
    return write(fired, steps, begin, top, shift, keys, pos)


@njit(**OPTIONS)
def run_lane(frames, previous, times, pixels, tables, refractory, shift, lane, keys, starts,
             cursor):  # fmt: skip
    """Emit the events of one lane (some of the pixels) over several frames, into `keys`.

    frames: (F,P) uint8. previous: (P,) uint8, the previous frame. times: (F+1,) int64, its
    time first. lane: (begin, end) pixels. keys: (room,) int64. starts: (F+1,) int64, where in keys
    each interval's events begin. cursor: the next frame and position, to continue after the keys
    have grown.
    """
    fired, steps = np.empty(TILE + SPARE, dtype=np.int32), no_steps()
    for f in range(cursor[0], len(frames)):
        before = frames[f - 1] if f > 0 else previous
        pos = cursor[1]
        for begin in range(lane[0], lane[1], TILE):
            tile = slice(begin, min(begin + TILE, lane[1]))
            count = detect(frames[f, tile], pixels.low[tile], pixels.high[tile], fired)
            pos = emit(
                fired[:count], frames[f, tile], before[tile], pixels, tables, begin, times[f],
                times[f + 1] - times[f], refractory, shift, steps, keys, pos,
            )  # fmt: skip
            if pos < 0:
                cursor[0], cursor[1] = f, -1 - pos
                return
        cursor[1] = starts[f + 1] = pos
    cursor[0] = len(frames)
