"""From pixel bytes to log intensity: the named luma conventions and their lookup tables.

Equation (4) of the paper reads ``L(u, t) = log(I(u, t) + ε)``. Its ε only keeps the logarithm
finite at 0; with 8-bit pixels, an ε that is small enough not to change larger values makes noise in
black areas (0 → 1) the strongest contrast. Here the logarithm is exact above a small level
I₀ and continued below by its tangent (value and slope agree at I₀)::

    L(I) = ln I                     I ≥ I₀ = 10
    L(I) = ln I₀ + (I − I₀) / I₀    I < I₀

The name of the convention defines I as a function of the byte y; it decides the number of events
by up to a factor of three, so it is stored with the events.

============ ===========================================================================
``full``     I = y, full-range luma 0…255 (the default)
``linlog``   I = y with v2e's response: L = I·ln(20)/20 below 20, ln I above
``srgb``     I = 255·(sRGB electro-optical transfer of y/255): linear light
``log1p``    equation (4) as printed with ε = 1: L = ln(y + 1), no linear part
============ ===========================================================================

Each name with the prefix ``limited`` (``limited`` alone for ``full``) is for the raw Y plane of a
limited-range ("TV") video: y is replaced by 255·(y − 16)/219, clipped to 0…255, with no rounding
to bytes in between. `convention` returns the name for the range that a file declares.

The 256 values are computed in decimal arithmetic of 40 digits and rounded once to float64, so
they are the same on every machine, whatever its libm.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mdft.errors import UserError, unknown

LINEAR_BELOW = 10
_RESPONSES = ("full", "linlog", "srgb", "log1p")
LUMAS = (*_RESPONSES, "limited", "limited-linlog", "limited-srgb", "limited-log1p")
MIN_THRESHOLD = 1e-3
_BUCKETS = 8192


def convention(luma: str, *, limited: bool) -> str:
    """Return the name of the convention `luma` for a plane of limited or full range.

    Raises:
        UserError: `luma` is not the name of a full-range convention.
    """
    if luma not in _RESPONSES:
        raise unknown("luma", luma, _RESPONSES)
    if not limited:
        return luma
    return "limited" if luma == "full" else f"limited-{luma}"


def _intensity(response: str, y: Decimal) -> Decimal:
    """Return I(y) on 0…255."""
    if response != "srgb":
        return y
    v = y / 255
    if v <= Decimal("0.04045"):
        return 255 * v / Decimal("12.92")
    return 255 * ((v + Decimal("0.055")) / Decimal("1.055")) ** Decimal("2.4")


def _log(response: str, intensity: Decimal) -> Decimal:
    """Return L(I) in nats."""
    if response == "log1p":
        return (intensity + 1).ln()
    if response == "linlog":
        return intensity.ln() if intensity > 20 else intensity * Decimal(20).ln() / 20
    if intensity < LINEAR_BELOW:
        return Decimal(LINEAR_BELOW).ln() + (intensity - LINEAR_BELOW) / LINEAR_BELOW
    return intensity.ln()


@lru_cache(maxsize=16)
def log_table(luma: str) -> NDArray[np.float64]:
    """Tabulate log intensity L(y) of every byte y, equation (4), in nats; (256,) float64, monotone.

    Raises:
        UserError: there is no convention with that name.
    """
    if luma not in LUMAS:
        raise unknown("luma", luma, LUMAS)
    limited = luma.startswith("limited")
    response = luma.removeprefix("limited").removeprefix("-") or "full"
    with localcontext(Context(prec=40)):
        levels = [Decimal(y) for y in range(256)]
        if limited:
            levels = [min(max((y - 16) * 255 / 219, Decimal(0)), Decimal(255)) for y in levels]
        table = np.array([float(_log(response, _intensity(response, y))) for y in levels])
    table.flags.writeable = False
    return table


def check_threshold(threshold: float, name: str = "threshold") -> float:
    """Return the threshold C as a float, or a `UserError` unless it is finite and ≥ 0.001."""
    value = float(threshold)
    if not (np.isfinite(value) and value >= MIN_THRESHOLD):
        raise UserError(
            f"{name}: found {threshold!r}, expected a finite contrast of at least "
            f"{MIN_THRESHOLD} in log intensity (usual values are 0.1 to 0.5)"
        )
    return value


@dataclass(frozen=True)
class Response:
    """The log table, and its inverse: the bytes below and above a log intensity.

    Bytes are looked up by position, ``(L − L(0))·scale``: position s is in bucket floor(s). The
    bytes in the bucket itself count as outside a quiet band: a pixel may be checked needlessly,
    but no event is missed. A bucket is narrower than the smallest threshold and than the distance
    between two bytes, so that this affects at most one byte at either end.

    Attributes:
        log: (256,) float64, L(y).
        scale: buckets per nat.
        below: (buckets,) uint8; the largest byte below the lower edge of bucket b.
        above: (buckets,) uint8; the smallest byte above the lower edge of bucket b, 0 for b = 0.
    """

    log: NDArray[np.float64]
    scale: float
    below: NDArray[np.uint8]
    above: NDArray[np.uint8]


@lru_cache(maxsize=16)
def response_of(luma: str) -> Response:
    """Build the tables of `Response` for one luma convention."""
    log = log_table(luma)
    scale = (_BUCKETS - 2) / float(log[255] - log[0])
    position = (log - log[0]) * scale
    edges = np.arange(_BUCKETS)
    below = (np.searchsorted(position, edges, side="left") - 1).clip(0, 255).astype(np.uint8)
    above = np.searchsorted(position, edges, side="right").clip(0, 255).astype(np.uint8)
    above[0] = 0
    below.flags.writeable = above.flags.writeable = False
    return Response(log, scale, below, above)
