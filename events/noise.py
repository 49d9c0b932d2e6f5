"""Sensor noise: threshold mismatch, leak, shot noise and the bandwidth of the photoreceptor.

With L the log intensity of a pixel, f its low-passed copy and t the time since the first frame:

    f ← f + α·(L − f),   α = Δt/(Δt + τ),   τ = 10⁶/(2π·cutoff_hz) µs
    x = f − f(first) + leak_hz·C_on·t
    C_on → C_on·max(1 + mismatch·z, 0.1),   the same for C_off with another z

The first line is a low-pass (backward Euler), the second a leak that causes leak_hz ON events per
second, the third is fixed per pixel. Then x is the input of the event generation model
(`events.crossings`) in place of L − L(first). Shot noise adds events of random polarity at random
times: ``floor(λ + u)`` events per interval, u uniform on [0, 1) and
``λ = shot_hz·(1 − ¾·y/255)·Δt`` for the byte y before it (dark pixels are noisier, by v2e's
factor of four). Noise events do not move the memory; the refractory period applies to them.

Draws come from SplitMix64 as a counter: draw number `pixel` of the generator that is seeded by
(seed, purpose, frame). Therefore they do not depend on chunks, threads or order. Every operation
that leads to an event is an integer operation or a single rounded +, −, ·, ÷, so that the events
are the same on every machine. z is a sum of twelve uniform 16-bit numbers (variance 1, |z| < 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdft.errors import UserError, whole

_LEAST = 0.1


@dataclass(frozen=True)
class Noise:
    """Sensor noise; all zero is the ideal sensor.

    Attributes:
        seed: seed of all draws.
        mismatch: relative standard deviation of the thresholds between pixels (v2e: 0.15).
        leak_hz: ON events per second of a pixel with constant intensity (v2e: 0.1).
        shot_hz: noise events per second of a dark pixel (v2e: 1 to 5).
        cutoff_hz: bandwidth of the photoreceptor; 0 = unlimited (v2e: 15 to 300).
    """

    seed: int = 0
    mismatch: float = 0.0
    leak_hz: float = 0.0
    shot_hz: float = 0.0
    cutoff_hz: float = 0.0

    def check(self) -> None:
        """Check the ranges of the values; `events.Sensor` calls it."""
        whole("seed", self.seed, least=0)
        for name in ("mismatch", "leak_hz", "shot_hz", "cutoff_hz"):
            value = float(getattr(self, name))
            if not 0 <= value <= 1e6:
                raise UserError(f"{name}: found {value}, expected a number from 0 to 10^6")

    @property
    def some(self) -> bool:
        """Whether there is any noise."""
        return bool(self.mismatch or self.leak_hz or self.shot_hz or self.cutoff_hz)

    @property
    def tau_us(self) -> float:
        """Time constant of the low-pass, µs; 0 = none."""
        return 1e6 / (2 * math.pi * self.cutoff_hz) if self.cutoff_hz else 0.0


#: No noise.
IDEAL = Noise()


def thresholds(
    noise: Noise, pixels: int, on: float, off: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return C_on and C_off of each pixel in raster order, (P,) float64 each."""
    # Imported here, so that --help of commands with the settings above does not import numba.
    from events.kernels.draws import OFF, ON, spread

    seed = np.uint64(noise.seed)
    spread_on, spread_off = (noise.mismatch * spread(seed, p, pixels) for p in (ON, OFF))
    return on * np.maximum(1.0 + spread_on, _LEAST), off * np.maximum(1.0 + spread_off, _LEAST)


def shot_rates(noise: Noise) -> NDArray[np.float64]:
    """Return the noise events per µs of a pixel at byte y, (256,): shot_hz·10⁻⁶·(1 − ¾·y/255)."""
    return noise.shot_hz * 1e-6 * (1.0 - 0.75 * (np.arange(256) / 255.0))
