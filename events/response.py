"""From pixel bytes to log intensity: the named luma conventions and the tables made of them.

Equation (4) of the paper reads ``L(u, t) = log(I(u, t) + ε)``. Its ε only keeps the logarithm
finite in the dark; with 8-bit pixels an ε small enough to leave the rest alone makes black
noise (0 → 1) the strongest contrast of all. We keep the logarithm exact above a small level
I₀ and continue it below by its tangent (value and slope agree at I₀)::

    L(I) = ln I                     I ≥ I₀ = 10
    L(I) = ln I₀ + (I − I₀) / I₀    I < I₀

The name of the convention says what I is, given the byte y; it decides the number of events
by up to a factor of three, so it is stored with the events.

============ ===========================================================================
``full``      I = y, full-range luma 0…255 (the default)
``limited``   I = 255·(y − 16)/219 clipped to 0…255: raw limited-range ("TV") Y planes
``srgb``      I = 255·(sRGB electro-optical transfer of y/255): linear light
``log1p``     equation (4) as printed with ε = 1: L = ln(y + 1), no linear part
============ ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from events.errors import UserError

LINEAR_BELOW = 10.0
LUMAS = ("full", "limited", "srgb", "log1p")
# A contrast within a billionth of a whole step is that step: see `snap`.
TIE = 1e-9
MIN_THRESHOLD = 1e-3


def _intensity(luma: str) -> NDArray[np.float64]:
    """Tabulate intensity I(y) on 0…255 of each byte y, for one convention; (256,) float64."""
    y = np.arange(256, dtype=np.float64)
    if luma == "limited":
        return np.clip((y - 16.0) * (255.0 / 219.0), 0.0, 255.0)
    if luma == "srgb":
        v = y / 255.0
        return 255.0 * np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return y


@lru_cache(maxsize=8)
def log_table(luma: str) -> NDArray[np.float64]:
    """Tabulate log intensity L(y) of every byte y, equation (4), in nats; (256,) float64, monotone.

    Raises:
        UserError: the convention has no such name.
    """
    if luma not in LUMAS:
        raise UserError(f"luma: found {luma!r}, expected one of {', '.join(LUMAS)}")
    if luma == "log1p":
        table = np.log(np.arange(256, dtype=np.float64) + 1.0)
    else:
        intensity = _intensity(luma)
        tangent = np.log(LINEAR_BELOW) + (intensity - LINEAR_BELOW) / LINEAR_BELOW
        logarithm = np.log(np.maximum(intensity, LINEAR_BELOW))
        table = np.where(intensity < LINEAR_BELOW, tangent, logarithm)
    table.flags.writeable = False
    return table


def snap(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make whole numbers of steps exact: m → round(m) where |m − round(m)| < TIE.

    A difference of two rounded logarithms misses a whole multiple of C by an ulp or so; an
    exact tie of the real numbers must be a tie here, and 1e-9 of a step is far below what a
    byte can express.
    """
    nearest = np.rint(steps)
    return np.where(np.abs(steps - nearest) < TIE, nearest, steps)


def check_threshold(threshold: float) -> float:
    """Return the threshold C as a float, or a `UserError` unless it is finite and ≥ 0.001."""
    value = float(threshold)
    if not (np.isfinite(value) and value >= MIN_THRESHOLD):
        raise UserError(
            f"threshold: found {threshold!r}, expected a finite contrast of at least "
            f"{MIN_THRESHOLD} in log intensity (the field uses 0.1 to 0.5)"
        )
    return value


@dataclass(frozen=True)
class QuietBands:
    """For each first byte y₀ and level k: the bytes at which a pixel stays silent.

    A pixel with memory L(y₀) + k·C is silent at byte y iff ``low ≤ y ≤ high``: detection is two
    byte comparisons and no arithmetic. Row y₀, column k − kmin[y₀] of the tables.

    Attributes:
        low: (256, levels) uint8, smallest silent byte.
        high: (256, levels) uint8, largest silent byte.
        kmin: (256,) int16, the lowest level a pixel that began at y₀ can reach.
    """

    low: NDArray[np.uint8]
    high: NDArray[np.uint8]
    kmin: NDArray[np.int16]


@lru_cache(maxsize=8)
def quiet_bands(threshold: float, luma: str) -> QuietBands:
    """Build the tables of `QuietBands` for C = `threshold` and one luma convention.

    With m = (L(y) − L(y₀))/C, equation (5) keeps the pixel silent iff
    ``floor(m) ≤ k`` and ``ceil(m) ≥ k``, i.e. ``k − 1 < m < k + 1``.
    """
    table = log_table(luma)
    steps = snap((table[None, :] - table[:, None]) / threshold)
    floor, ceil = np.floor(steps).astype(np.int64), np.ceil(steps).astype(np.int64)
    kmin, kmax = ceil[:, 0], floor[:, 255]
    levels = int((kmax - kmin).max()) + 1
    low = np.zeros((256, levels), dtype=np.uint8)
    high = np.zeros((256, levels), dtype=np.uint8)
    for first in range(256):
        k = kmin[first] + np.arange(levels)
        low[first] = np.searchsorted(ceil[first], k, side="left").clip(0, 255)
        high[first] = (np.searchsorted(floor[first], k, side="right") - 1).clip(0, 255)
    return QuietBands(low, high, kmin.astype(np.int16))
