"""The event generation model on any real signal, in NumPy float64: the reference for all kernels.

Equations (4) and (5) of the paper for signals x (log intensity minus its first value, nats), one
interval between two samples at a time. The memory of a pixel is stored as integers, so that no
rounding errors accumulate: with K = ON − OFF events and N_off OFF events so far,

    r = K·C_on + N_off·(C_on − C_off)                     memory, nats
    n = floor(|x₁ − r|/C + TIE),   C = C_on if x₁ > r else C_off
    t_j = t₀ + min(floor(a + j·b), Δt),   j = 1…n
    s = Δt/(x₁ − x₀),   a = (r − x₀)·s + ½,   b = +C_on·s or −C_off·s

A tie (x₁ on a level, up to 10⁻⁹ of a step) causes an event. `events.kernels.pixels` does the same
operations in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.kernels.pixels import TIE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Memory:
    """The integers that define the memory of each pixel; net K and offs N_off, (P,) int64."""

    net: NDArray[np.int64]
    offs: NDArray[np.int64]

    def value(self, on: Floats, off: Floats) -> Floats:
        """Return r = K·C_on + N_off·(C_on − C_off), (P,) nats."""
        return self.net * on + self.offs * (on - off)


@dataclass(frozen=True)
class Crossings:
    """The events of one interval, sorted by pixel, then in the order of the crossings.

    Attributes:
        pixel: (n,) int64.
        delay: (n,) int64, µs after the earlier sample.
        up: (n,) bool, True = ON.
    """

    pixel: NDArray[np.int64]
    delay: NDArray[np.int64]
    up: NDArray[np.bool_]


def start(pixels: int) -> Memory:
    """Return the memory of pixels after their first sample: level 0."""
    return Memory(np.zeros(pixels, np.int64), np.zeros(pixels, np.int64))


def cross(
    x0: Floats, x1: Floats, interval: int, memory: Memory, on: Floats, off: Floats
) -> tuple[Crossings, Memory]:
    """Compute one interval's events and the memory after it.

    Args:
        x0: the earlier sample, (P,) nats.
        x1: the later sample, (P,) nats.
        interval: the time between them Δt, µs.
        memory: the memory of each pixel.
        on: C_on of each pixel, (P,) nats.
        off: C_off of each pixel, (P,) nats.
    """
    r = memory.value(on, off)
    contrast = x1 - r
    up = contrast > 0
    threshold, per_nat = np.where(up, on, -off), np.where(up, 1.0 / on, 1.0 / off)
    n = np.floor(np.abs(contrast) * per_nat + TIE).astype(np.int64)
    fired = np.flatnonzero(n)
    slope = interval / (x1[fired] - x0[fired])
    a, b = (r[fired] - x0[fired]) * slope + 0.5, threshold[fired] * slope
    events_of = n[fired]
    which = np.repeat(np.arange(len(fired)), events_of)
    step = np.arange(len(which)) - np.repeat(np.cumsum(events_of) - events_of, events_of) + 1
    exact = a[which] + step * b[which]
    delay = np.where(exact < interval, np.floor(exact), interval).astype(np.int64)
    pixel = fired[which]
    after = Memory(memory.net + np.where(up, n, -n), memory.offs + np.where(up, 0, n))
    return Crossings(pixel, delay, up[pixel]), after


def awake(
    events: Crossings, time_us: int, refractory_us: int, last: NDArray[np.int64]
) -> Crossings:
    """Drop events less than `refractory_us` after the pixel's last event; `last` is updated.

    Args:
        events: the events of one interval, each pixel's in time order.
        time_us: the time of the earlier sample, µs.
        refractory_us: the dead time, µs.
        last: the time of each pixel's last event that was kept, (P,) int64.
    """
    out = np.ones(len(events.pixel), dtype=bool)
    for i, (pixel, delay) in enumerate(zip(events.pixel, events.delay, strict=True)):
        out[i] = time_us + delay - last[pixel] >= refractory_us
        if out[i]:
            last[pixel] = time_us + delay
    return Crossings(events.pixel[out], events.delay[out], events.up[out])
