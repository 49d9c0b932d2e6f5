"""From keys in raster order to Tonic's records in time order: a stable counting sort.

A key is ``delay << address_bits | address | polarity`` with ``address = (y << x_bits | x) << 1``
and the delay in µs after the earlier frame of its interval (see `events.kernels.emit`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from events.kernels import OPTIONS

_WIDEST = 11  # bits of a digit; a table of 2048 counts stays in the first-level cache
_U = np.uint64


@njit(**OPTIONS)
def _count(keys, shift, digits, counts):
    """Count the keys of two digits at once: `digits` bits above `shift`, and as many above them."""
    mask, shift, next_shift = _U((1 << digits) - 1), _U(shift), _U(shift + digits)
    low, high = counts[0], counts[1]
    for i in range(keys.size):
        key = _U(keys[_U(i)])
        low[(key >> shift) & mask] += 1
        high[(key >> next_shift) & mask] += 1


@njit(**OPTIONS)
def _begins(counts, digits):
    """Turn the counts of 2^digits digits into where each begins."""
    start = 0
    for digit in range(1 << digits):
        size = counts[digit]
        counts[digit] = start
        start += size


@njit(**OPTIONS)
def _move(keys, shift, digits, counts, target):
    """Put each key where its digit's next place is."""
    mask = _U((1 << digits) - 1)
    for i in range(keys.size):
        key = keys[_U(i)]
        digit = (_U(key) >> _U(shift)) & mask
        target[_U(counts[digit])] = key
        counts[digit] += 1


@njit(**OPTIONS)
def _pack(keys, shift, counts, address_bits, x_bits, time0, out):
    """Write each key as a record where its highest digit's next place is."""
    address_mask, x_mask = (1 << address_bits) - 1, (1 << x_bits) - 1
    for i in range(keys.size):
        key = keys[_U(i)]
        digit = _U(key) >> _U(shift)
        record = out[_U(counts[digit])]
        counts[digit] += 1
        address = key & address_mask
        record.x = (address >> 1) & x_mask
        record.y = address >> (x_bits + 1)
        record.t = time0 + (key >> address_bits)
        record.p = (address & 1) != 0


@njit(**OPTIONS)
def _part(keys, starts, f, sorted_keys, lane, p):
    """Return what pass p reads: a lane's keys at first, then what the pass before has written."""
    return keys[lane][starts[lane, f] : starts[lane, f + 1]] if p == 0 else sorted_keys


@njit(**OPTIONS)
def sort_interval(keys, starts, f, times, address_bits, x_bits, work, counts, out):
    """Sort interval f's keys, lane after lane, by time and write them as records.

    As `sort_intervals`; counts: (2, 2^11) int64 working space. Equal times keep the order of the
    keys.
    """
    lanes, n, interval, width = len(keys), out.size, times[f + 1] - times[f], 1
    while (interval >> width) > 0:
        width += 1
    passes = (width + _WIDEST - 1) // _WIDEST
    digits = (width + passes - 1) // passes
    for p in range(passes):
        shift, places = address_bits + p * digits, counts[p & 1]
        parts = lanes if p == 0 else 1
        if p & 1 == 0:
            counts[:, : 1 << digits] = 0
            for lane in range(parts):
                _count(_part(keys, starts, f, work[0][:n], lane, p), shift, digits, counts)
        _begins(places, digits)
        for lane in range(parts):
            part = _part(keys, starts, f, work[p & 1][:n], lane, p)
            if p < passes - 1:
                _move(part, shift, digits, places, work[1 - (p & 1)])
            else:
                _pack(part, shift, places, address_bits, x_bits, times[f], out)


@njit(**OPTIONS)
def sort_intervals(keys, starts, frames, times, address_bits, x_bits, out):
    """Write the records of the intervals ``frames = (begin, end)``, sorted by time, to `out`.

    keys: (lanes, room) int64. starts: (lanes, F + 1) int64, where in its lane each interval
    begins. times: (F + 1,) int64 µs. out: records x, y, t, p of all F intervals.
    """
    counts = np.empty((2, 1 << _WIDEST), dtype=np.int64)
    ends = starts.sum(axis=0)
    most = 0
    for f in range(frames[0], frames[1]):
        most = max(most, ends[f + 1] - ends[f])
    work = np.empty((2, most), dtype=np.int64)
    for f in range(frames[0], frames[1]):
        part = out[ends[f] : ends[f + 1]]
        if part.size:
            sort_interval(keys, starts, f, times, address_bits, x_bits, work, counts, part)
