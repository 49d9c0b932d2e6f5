"""From keys in raster order to Tonic's records in time order: a stable counting sort.

A key is ``delay << pixel_bits | pixel << 1 | polarity`` with ``pixel = y·width + x`` and the delay
in µs after the earlier frame of its interval (see `events.emission.emit`). The top digit of the
delay parts an interval's keys into buckets that stay in the first-level cache; the digits below
it are sorted bucket by bucket, the lowest first; then the records are written one after another.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from events.kernels import OPTIONS
from events.sensor import EVENTS
from events.simd import store

_TOP = 10  # bits; no more buckets than the second-level cache has room to fill at once
_RECORD = EVENTS.itemsize
_QUOTIENT = 45  # bits of a fraction: pixel·⌈2⁴⁵/width⌉ >> 45 is exact below 2¹⁵ × 2¹⁵ pixels
_U = np.uint64


@njit(**OPTIONS)
def _digits(interval, events):
    """Choose the bits of the top digit, those of a lower one, and how many lower ones there are.

    Sorting by a digit costs a step by event and one by value: few events want short digits.
    """
    width = 1
    while (interval >> width) > 0:
        width += 1
    low, passes = (10, 1) if 8 * events > interval else (7, 2)
    while width > _TOP + low * passes:
        passes += 1
    return max(width - low * passes, 0), low, passes


@njit(**OPTIONS)
def _count(keys, shift, mask, counts):
    """Count the keys by digit ``key >> shift & mask``."""
    for i in range(keys.size):
        counts[(_U(keys[_U(i)]) >> _U(shift)) & _U(mask)] += 1


@njit(**OPTIONS)
def _begin(counts):
    """Turn the counts of digits into where each begins."""
    start = 0
    for digit in range(counts.size):
        size = counts[_U(digit)]
        counts[_U(digit)] = start
        start += size


@njit(**OPTIONS)
def _move(keys, shift, mask, counts, target):
    """Put each key where its digit's next place is."""
    for i in range(keys.size):
        key = _U(keys[_U(i)])
        digit = (key >> _U(shift)) & _U(mask)
        target[_U(counts[digit])] = key
        counts[digit] += 1


@njit(**OPTIONS)
def _pack(keys, pixel_bits, width, time0, out, first):
    """Write the keys as records from number `first` on; out: bytes of all records.

    A record's 13 bytes are written as two words that overlap in three: x, y and the low half of
    t; then t from its second byte on, and p.
    """
    pixel_mask, width = _U((1 << pixel_bits) - 1), _U(width)
    per_row = _U(1 << _QUOTIENT) // width + _U(1)
    at = first * _RECORD
    for i in range(keys.size):
        key = _U(keys[_U(i)])
        time = _U(time0) + (key >> _U(pixel_bits))
        pixel = (key & pixel_mask) >> _U(1)
        y = (pixel * per_row) >> _U(_QUOTIENT)
        store(out, at, (pixel - y * width) | y << _U(16) | time << _U(32))
        store(out, at + 5, time >> _U(8) | (key & _U(1)) << _U(56))
        at += _RECORD


@njit(**OPTIONS)
def _sort_bucket(keys, other, shift, low, passes, counts):
    """Sort keys by `passes` digits of `low` bits above `shift`; return which of the two has them.

    keys, other: (n,) int64, both are overwritten. counts: working space.
    """
    counts, mask = counts[: 1 << low], (1 << low) - 1
    for _ in range(passes):
        counts[:] = 0
        _count(keys, shift, mask, counts)
        _begin(counts)
        _move(keys, shift, mask, counts, other)
        keys, other, shift = other, keys, shift + low
    return keys


@njit(**OPTIONS)
def sort_intervals(keys, starts, frames, times, pixel_bits, width, out):
    """Write the records of the intervals ``frames = (begin, end)``, sorted by time, to `out`.

    Equal times keep the order of the keys, lane after lane.

    keys: (lanes, room) int64. starts: (lanes, F + 1) int64, where in its lane each interval
    begins. times: (F + 1,) int64 µs. width: of a frame. out: uint8, the records x, y, t, p of
    all F intervals.
    """
    ends = starts.sum(axis=0)
    most = 0
    for f in range(frames[0], frames[1]):
        most = max(most, ends[f + 1] - ends[f])
    parted, other = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    buckets, counts = np.empty(1 << _TOP, dtype=np.int64), np.empty(1 << 10, dtype=np.int64)
    for f in range(frames[0], frames[1]):
        top, low, passes = _digits(times[f + 1] - times[f], ends[f + 1] - ends[f])
        places, shift, mask = buckets[: 1 << top], pixel_bits + low * passes, (1 << top) - 1
        places[:] = 0
        for lane in range(len(keys)):
            _count(keys[lane][starts[lane, f] : starts[lane, f + 1]], shift, mask, places)
        _begin(places)
        for lane in range(len(keys)):
            _move(keys[lane][starts[lane, f] : starts[lane, f + 1]], shift, mask, places, parted)
        begin = 0
        for end in places:
            if end > begin:
                bucket = _sort_bucket(
                    parted[begin:end], other[: end - begin], pixel_bits, low, passes, counts
                )
                _pack(bucket, pixel_bits, width, times[f], out, ends[f] + begin)
            begin = end
