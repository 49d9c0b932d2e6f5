"""From keys in raster order to Tonic's records in time order: a stable counting sort.

A key is ``delay << pixel_bits | pixel << 1 | polarity`` with ``pixel = y·width + x`` and the delay
in µs after the earlier frame of its interval (see `events.emission.emit`). Up to an event a µs,
an interval's keys are sorted by one digit of the delay after the other, the lowest first. More
are parted by the top digit into buckets that stay in the first-level cache, and sorted bucket by
bucket. Then the records are written one after another.
"""

from __future__ import annotations

import numpy as np

from events.compiled import njit
from events.kernels import OPTIONS
from events.sensor import EVENTS
from events.simd import store

_DIGIT = 9  # bits at most: no more places than the first-level cache has room to fill at once
_TOP = 10  # bits of the top digit at most: as many as the second-level cache has room to fill
_LOW = 10  # bits of the digits below it
_RECORD = EVENTS.itemsize
_QUOTIENT = 45  # bits of a fraction: pixel·⌈2⁴⁵/width⌉ >> 45 is exact below 2¹⁵ × 2¹⁵ pixels
_U = np.uint64


@njit(**OPTIONS)
def _bits(interval):
    """Return how many bits hold a delay."""
    bits = 1
    while (interval >> bits) > 0:
        bits += 1
    return bits


@njit(**OPTIONS)
def _count(keys, shift, mask, counts):
    """Count the keys by digit ``key >> shift & mask``."""
    for i in range(keys.size):
        counts[(_U(keys[_U(i)]) >> _U(shift)) & _U(mask)] += 1


@njit(**OPTIONS)
def _count_digits(keys, shift, bits, counts):
    """Count the keys by each digit of `bits` bits above `shift`; counts: (digits, 2^bits)."""
    mask = _U((1 << bits) - 1)
    if len(counts) == 2:  # nearly always: 15 frames a second and more
        low, high = counts[0], counts[1]
        for i in range(keys.size):
            delay = _U(keys[_U(i)]) >> _U(shift)
            low[delay & mask] += 1
            high[(delay >> _U(bits)) & mask] += 1
    else:
        for digit in range(len(counts)):
            _count(keys, shift + digit * bits, mask, counts[digit])


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
def _sort_few(keys, starts, f, delay_bits, pixel_bits, one, two):
    """Sort the keys of interval f digit by digit; return which of the two has them.

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
def _part(keys, starts, f, shift, places, parted):
    """Move the keys of interval f into buckets, by the digit above `shift`; places become ends."""
    places[:] = 0
    mask = places.size - 1
    for lane in range(len(keys)):
        _count(keys[lane][starts[lane, f] : starts[lane, f + 1]], shift, mask, places)
    _begin(places)
    for lane in range(len(keys)):
        _move(keys[lane][starts[lane, f] : starts[lane, f + 1]], shift, mask, places, parted)


@njit(**OPTIONS)
def _sort_bucket(keys, other, shift, passes, counts):
    """Sort keys by `passes` low digits above `shift`; return which of the two has them.

    keys, other: (n,) int64, both are overwritten. counts: (2^_LOW,) int64, working space.
    """
    for _ in range(passes):
        counts[:] = 0
        _count(keys, shift, counts.size - 1, counts)
        _begin(counts)
        _move(keys, shift, counts.size - 1, counts, other)
        keys, other, shift = other, keys, shift + _LOW
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
    one, two = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    places, counts = np.empty(1 << _TOP, dtype=np.int64), np.empty(1 << _LOW, dtype=np.int64)
    for f in range(frames[0], frames[1]):
        interval, size = times[f + 1] - times[f], ends[f + 1] - ends[f]
        delay_bits = _bits(interval)
        if size <= interval:
            found = _sort_few(keys, starts, f, delay_bits, pixel_bits, one[:size], two[:size])
            _pack(found, pixel_bits, width, times[f], out, ends[f])
            continue
        passes = max(1, -(-(delay_bits - _TOP) // _LOW))
        top = max(delay_bits - _LOW * passes, 0)
        _part(keys, starts, f, pixel_bits + _LOW * passes, places[: 1 << top], one)
        begin = 0
        for end in places[: 1 << top]:
            if end > begin:
                bucket = _sort_bucket(
                    one[begin:end], two[: end - begin], pixel_bits, passes, counts
                )
                _pack(bucket, pixel_bits, width, times[f], out, ends[f] + begin)
            begin = end
