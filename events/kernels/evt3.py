"""Decode the words of EVT 3.0, Prophesee's vectorised format of 16-bit words.

The four highest bits of a word are its type. A word sets y, the base of the next vectors, or a part
of the time, or it is an event or a vector of up to 12 events. The time has 24 bits: 12 of
TIME_HIGH and 12 of TIME_LOW. A TIME_HIGH that falls by more than half its range begins another
turn of the clock. A TIME_HIGH that changes sets the low bits to 0. Events before the first
TIME_HIGH have no time and are left out, as the specification requires.
"""

from __future__ import annotations

from events.kernels.compiled import njit

_ADDR_Y, _ADDR_X, _BASE_X, _VECT_12, _VECT_8, _TIME_LOW, _TIME_HIGH = 0, 2, 3, 4, 5, 6, 8


@njit(cache=True)
def count(words):
    """Count the events of words (n,) uint16: (events with a time, events before the first)."""
    timed = early = 0
    begun = False
    for word in words:
        kind = word >> 12
        found = 0
        if kind == _TIME_HIGH:
            begun = True
        elif kind == _ADDR_X:
            found = 1
        elif kind in (_VECT_12, _VECT_8):
            bits = word & (0xFFF if kind == _VECT_12 else 0xFF)
            while bits:
                bits &= bits - 1
                found += 1
        if begun:
            timed += found
        else:
            early += found
    return timed, early


@njit(cache=True)
def decode(words, x, y, t, p):
    """Write the events of words (n,) uint16 to x, y uint16, t int64 µs and p bool, each (m,).

    m is the first number of `count`. Times are those of the file, which may step back by some µs.
    """
    row = base = on = high = low = turns = at = 0
    begun = False
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == _TIME_HIGH:
            if begun and value < high and high - value > 2048:
                turns += 1
            if value != high:
                low = 0
            high = value
            begun = True
        elif kind == _TIME_LOW:
            low = value
        elif kind == _ADDR_Y:
            row = value & 0x7FF
        elif kind == _BASE_X:
            base, on = value & 0x7FF, value >> 11
        elif kind == _ADDR_X:
            if begun:
                x[at], y[at], p[at] = value & 0x7FF, row, value >> 11 > 0
                t[at] = (turns << 24) | (high << 12) | low
                at += 1
        elif kind in (_VECT_12, _VECT_8):
            size = 12 if kind == _VECT_12 else 8
            if begun:
                for bit in range(size):
                    if (value >> bit) & 1:
                        x[at], y[at], p[at] = base + bit, row, on > 0
                        t[at] = (turns << 24) | (high << 12) | low
                        at += 1
            base += size
