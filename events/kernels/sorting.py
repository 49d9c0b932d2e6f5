"""Sort keys in raster order into Tonic's records in time order, with a stable counting sort.

A key is ``delay << pixel_bits | pixel << 1 | polarity`` with ``pixel = y·width + x`` and the delay
in µs after the earlier frame of its interval (see `events.kernels.emission.emit`). The keys of an
interval are sorted by the digits of the delay, the lowest digit first; then the records are
written.

It replaces `numpy.sort`, which gives the same order of keys, because `events.frames_to_events`
with `numpy.sort` takes 1.4 to 1.7 times as long with NumPy 2 and AVX2, and 2.3 to 4 times with
NumPy 1.26 or with AVX-512 on an AMD processor (docs/performance.md).
"""

from __future__ import annotations

import numpy as np

from events.kernels.compiled import njit
from events.kernels.pixels import OPTIONS
from events.kernels.simd import store
from events.records import EVENTS

_DIGIT = 9  # bits at most: the write positions of all digits must fit in the first-level cache
_RECORD = EVENTS.itemsize
_QUOTIENT = 45  # bits of a fraction: pixel·⌈2⁴⁵/width⌉ >> 45 is exact below 2¹⁵ × 2¹⁵ pixels
_U = np.uint64


@njit(**OPTIONS)
def _bits(interval):
    """Return the number of bits of a delay."""
    bits = 1
    while (interval >> bits) > 0:
        bits += 1
    return bits


@njit(**OPTIONS)
def _count_digits(keys, shift, bits, counts):
    """Count the keys by each digit of `bits` bits above `shift`; counts: (digits, 2^bits)."""
    mask = _U((1 << bits) - 1)
    if len(counts) == 2:  # the usual case: at least 15 frames per second
        low, high = counts[0], counts[1]
        for i in range(keys.size):
            delay = _U(keys[_U(i)]) >> _U(shift)
            low[delay & mask] += 1
            high[(delay >> _U(bits)) & mask] += 1
    else:
        for digit in range(len(counts)):
            for i in range(keys.size):
                counts[digit][(_U(keys[_U(i)]) >> _U(shift + digit * bits)) & mask] += 1


@njit(**OPTIONS)
def _begin(counts):
    """Turn the counts of digits into their start positions."""
    start = 0
    for digit in range(counts.size):
        size = counts[_U(digit)]
        counts[_U(digit)] = start
        start += size


@njit(**OPTIONS)
def _move(keys, shift, mask, counts, target):
    """Move each key to the next position of its digit."""
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
def _sort(keys, starts, f, delay_bits, pixel_bits, one, two):
    """Sort the keys of interval f digit by digit; return the one of the two arrays that holds them.

    one, two: (n,) int64, both are overwritten.
    """
    digits = -(-delay_bits // _DIGIT)
    bits = -(-delay_bits // digits)
    counts, mask = np.zeros((digits, 1 << bits), dtype=np.int64), (1 << bits) - 1
    for lane in range(len(keys)):
        _count_digits(keys[lane][starts[lane, f] : starts[lane, f + 1]], pixel_bits, bits, counts)
    for digit in range(digits):
        _begin(counts[digit])
    for lane in range(len(keys)):
        _move(keys[lane][starts[lane, f] : starts[lane, f + 1]], pixel_bits, mask, counts[0], one)
    for digit in range(1, digits):
        _move(one, pixel_bits + digit * bits, mask, counts[digit], two)
        one, two = two, one
    return one


@njit(**OPTIONS)
def sort_intervals(keys, starts, frames, times, pixel_bits, width, out):
    """Write the records of the intervals ``frames = (begin, end)``, sorted by time, to `out`.

    Equal times keep the order of the keys, lane after lane.

    keys: (lanes, room) int64. starts: (lanes, F + 1) int64, where in its lane each interval
    begins. times: (F + 1,) int64 µs. width: the width of a frame. out: uint8, the records
    x, y, t, p of all F intervals.
    """
    ends = starts.sum(axis=0)
    most = 0
    for f in range(frames[0], frames[1]):
        most = max(most, ends[f + 1] - ends[f])
    one, two = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    for f in range(frames[0], frames[1]):
        size, delay_bits = ends[f + 1] - ends[f], _bits(times[f + 1] - times[f])
        found = _sort(keys, starts, f, delay_bits, pixel_bits, one[:size], two[:size])
        _pack(found, pixel_bits, width, times[f], out, ends[f])
