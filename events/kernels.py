"""The compiled inner loops of the event generator (numba, cached on disk, without the GIL).

No fast-math: the same float64 operations in the same order as `events.reference`, so that both
give the same events bit for bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from events.response import TIE

_BLOCK = 32


@njit(cache=True, nogil=True)
def detect(frame, low, high, fired):
    """Find the pixels outside their quiet band, ascending; return how many.

    frame, low, high: (P,) uint8; fired: (P,) int32, filled from the front.
    """
    count = 0
    pixels = frame.size
    for start in range(0, pixels, _BLOCK):
        stop = min(start + _BLOCK, pixels)
        block, lows, highs = frame[start:stop], low[start:stop], high[start:stop]
        loud = np.uint8(0)
        # Without a branch the compiler compares 16 to 64 bytes at once.
        for i in range(block.size):
            loud |= np.uint8(block[i] < lows[i]) | np.uint8(block[i] > highs[i])
        if loud:
            for i in range(block.size):
                fired[count] = start + i
                count += (block[i] < lows[i]) | (block[i] > highs[i])
    return count


@njit(cache=True, nogil=True, inline="always")
def _steps(log, first, byte, threshold):
    """Return m = (L(byte) − L(first)) / C with whole numbers made exact (`response.snap`)."""
    m = (log[byte] - log[first]) / threshold
    nearest = np.rint(m)
    return nearest if abs(m - nearest) < TIE else m


@njit(cache=True, nogil=True)
def count_steps(fired, count, frame, first, level, log, threshold):
    """Sum the whole steps |K' − K| of the pixels ``fired[:count]``: the room `emit` needs."""
    total = 0
    for j in range(count):
        i = fired[j]
        m = _steps(log, first[i], frame[i], threshold)
        total += abs(max(int(np.floor(m)), min(level[i], int(np.ceil(m)))) - level[i])
    return total


@njit(cache=True, nogil=True)
def emit(
    fired, count, frame, previous, first, level, low, high, last,
    log, threshold, band_low, band_high, kmin, time0, interval, refractory, codes, delays,
):  # fmt: skip
    """Write the events of pixels ``fired[:count]``, move their memory; return how many.

    K' = max(floor(m), min(K, ceil(m))), one event per whole step between K and K', at
    ``delay = floor((k − m₀)/(m₁ − m₀)·interval + ½)`` µs after `time0`. A code is
    ``2·pixel + polarity``.
    """
    n = 0
    for j in range(count):
        i = fired[j]
        base, old = first[i], level[i]
        m1 = _steps(log, base, frame[i], threshold)
        new = max(int(np.floor(m1)), min(old, int(np.ceil(m1))))
        m0 = _steps(log, base, previous[i], threshold)
        scale = interval / (m1 - m0)
        up = 1 if new > old else 0
        direction = 1 if new > old else -1
        k = old
        while k != new:
            k += direction
            delay = int(np.floor((k - m0) * scale + 0.5))
            delay = min(max(delay, 0), interval)
            if refractory > 0:
                # The memory moves even when the event is swallowed, as in a real pixel.
                if time0 + delay - last[i] < refractory:
                    continue
                last[i] = time0 + delay
            codes[n] = 2 * i + up
            delays[n] = delay
            n += 1
        level[i] = new
        low[i] = band_low[base, new - kmin[base]]
        high[i] = band_high[base, new - kmin[base]]
    return n


@njit(cache=True, nogil=True)
def sort_and_pack(codes, delays, n, time0, interval, width, out):
    """Stable radix sort of one interval's events by delay, written as Tonic records.

    codes: (2, ≥ n) int32, row 0 ``2·pixel + polarity``; delays: (2, ≥ n) int64, row 0 in
    [0, interval]; rows 1 are working space; out: (n,) records x, y, t, p. Equal times keep the
    order given: raster order of the pixels, and of one pixel's crossings.
    """
    bits = 1
    while (interval >> bits) > 0:
        bits += 1
    # One pass of 16 bits beats two of 8 once its table is small beside the events.
    widest = 16 if n > 20000 else 11
    passes = (bits + widest - 1) // widest
    digit = (bits + passes - 1) // passes
    mask = (1 << digit) - 1
    start = np.empty((1 << digit) + 1, dtype=np.int64)
    for step in range(passes):
        shift, old, new = step * digit, step & 1, 1 - (step & 1)
        start[:] = 0
        for i in range(n):
            start[((delays[old, i] >> shift) & mask) + 1] += 1
        for b in range(mask):
            start[b + 1] += start[b]
        for i in range(n):
            b = (delays[old, i] >> shift) & mask
            at = start[b]
            start[b] = at + 1
            codes[new, at] = codes[old, i]
            delays[new, at] = delays[old, i]
    row = passes & 1
    for i in range(n):
        pixel = codes[row, i] >> 1
        record = out[i]
        record.x = pixel % width
        record.y = pixel // width
        record.t = time0 + delays[row, i]
        record.p = (codes[row, i] & 1) != 0


@njit(cache=True, nogil=True)
def luma_bt601(rgb, out):
    """Write the full-range luma of (P, 3) uint8 into (P,) uint8; see `luma.rgb_to_luma`."""
    for i in range(out.size):
        r, g, b = np.uint32(rgb[i, 0]), np.uint32(rgb[i, 1]), np.uint32(rgb[i, 2])
        weighted = np.uint32(19595) * r + np.uint32(38470) * g + np.uint32(7471) * b
        out[i] = (weighted + np.uint32(32768)) >> np.uint32(16)


@njit(cache=True, nogil=True)
def expand_limited(plane, out):
    """Write full-range luma round(255·(y − 16)/219), clipped to a byte; (H, W) uint8 both.

    76309 = round(2¹⁶·255/219): exact rounding for every byte (tested), and it vectorises.
    """
    for row in range(plane.shape[0]):
        source, target = plane[row], out[row]
        for i in range(source.size):
            y = min(max(np.int32(source[i]), np.int32(16)), np.int32(235)) - np.int32(16)
            target[i] = (y * np.int32(76309) + np.int32(32768)) >> np.int32(16)


@njit(cache=True, nogil=True)
def count_bins(events, counts, width, height, grid, bins_per_second, start, end):
    """Add events to (bins, 2·grid·grid) int64 `counts`; times outside [start, end) do not count.

    bin = floor((t − start)·bins_per_second / 10⁶): exact, half-open.
    """
    for i in range(events.size):
        event = events[i]
        t = event.t
        if start <= t < end:
            b = (t - start) * bins_per_second // 1_000_000
            cell = (event.y * grid // height) * grid + event.x * grid // width
            counts[b, cell + (grid * grid if event.p else 0)] += 1
