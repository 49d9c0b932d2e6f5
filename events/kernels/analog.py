"""The compiled inner loop of a noisy sensor: every pixel, every frame, in float64.

`events.noise` defines the computation. There are no quiet bands, because the signal is not a byte.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from events.kernels.compiled import njit
from events.kernels.draws import SHOT, draw, key_of, uniform
from events.kernels.pixels import OPTIONS, crossings, placed

_U = np.uint64


class Analog(NamedTuple):
    """The float64 part of a noisy pixel's state; arrays of (P,).

    slow: f, low-passed log intensity. origin: f(first). signal: x of the previous frame. on,
    off: the pixel's thresholds, nats.
    """

    slow: Any
    origin: Any
    signal: Any
    on: Any
    off: Any


class Drift(NamedTuple):
    """The parameters of the sensor's noise; all times in µs.

    seed: uint64. leak: ON events per µs. tau: of the low-pass, 0 = none. rates: (256,) float64,
    noise events per µs at each byte. frame: number of previous frames. start: time of the first.
    """

    seed: Any
    leak: float
    tau: float
    rates: Any
    frame: int
    start: int


@njit(**OPTIONS)
def _shots(key, pixel, expected, interval, code, shift, keys, begin, end):
    """Add the noise events of a pixel to its keys ``[begin, end)``, in time order; return the end.

    A noise event follows an existing event at the same time.
    """
    bits = draw(key, pixel)
    for number in range(np.int64(expected + uniform(bits))):
        more = draw(bits, number)
        delay = np.int64(uniform(more) * interval)
        at = end
        while at > begin and keys[at - 1] >> shift > delay:
            keys[at] = keys[at - 1]
            at -= 1
        keys[at] = (delay << shift) | code | np.int64(more & _U(1))
        end += 1
    return end


@njit(**OPTIONS)
def _let_out(keys, begin, end, shift, time0, refractory, last):
    """Drop keys ``[begin, end)`` of a pixel in the refractory period; return (end, last time)."""
    kept = begin
    for at in range(begin, end):
        time = time0 + (keys[at] >> shift)
        if time - last >= refractory:
            last = time
            keys[kept] = keys[at]
            kept += 1
    return kept, last


@njit(**OPTIONS)
def run_lane(frames, previous, times, pixels, analog, drift, log, refractory, shift, lane, keys,
             starts, cursor):  # fmt: skip
    """Emit the events of one lane over several frames; see `events.kernels.emission.run_lane`.

    cursor: the next frame, position and pixel, to continue after the keys have grown.
    """
    begin, end = lane
    for f in range(cursor[0], len(frames)):
        frame = frames[f]
        before = frames[f - 1] if f > 0 else previous
        time0, interval = times[f], times[f + 1] - times[f]
        top = np.float64(interval)
        alpha = interval / (interval + drift.tau)
        leaked = drift.leak * (times[f + 1] - drift.start)
        key = key_of(drift.seed, SHOT, drift.frame + f)
        pos = cursor[1]
        for i in range(begin + cursor[2], end):
            on, off = analog.on[i], analog.off[i]
            slow = log[frame[i]]
            if drift.tau > 0.0:
                slow = analog.slow[i] + alpha * (slow - analog.slow[i])
            x0, x1 = analog.signal[i], slow - analog.origin[i] + leaked * on
            memory = pixels.net[i] * on + pixels.offs[i] * (on - off)
            n, up, a, b = crossings(x0, x1, memory, on, off, 1.0 / on, 1.0 / off, top)
            expected = drift.rates[before[i]] * interval
            if pos + n + np.int64(expected) + 1 > keys.size:
                cursor[0], cursor[1], cursor[2] = f, pos, i - begin
                return
            first = pos
            code = i << 1
            for step in range(1, n + 1):
                keys[pos] = (placed(a + step * b, top) << shift) | code | up
                pos += 1
            if expected > 0.0:
                pos = _shots(key, i, expected, interval, code, shift, keys, first, pos)
            if refractory > 0 and pos > first:
                pos, pixels.last[i] = _let_out(
                    keys, first, pos, shift, time0, refractory, pixels.last[i]
                )
            pixels.net[i] += n if up else -n
            pixels.offs[i] += 0 if up else n
            analog.slow[i], analog.signal[i] = slow, x1
        cursor[0], cursor[1], cursor[2] = f, pos, 0
        starts[f + 1] = pos
    cursor[0] = len(frames)
