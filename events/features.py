"""Feature events: the event generation model on a sequence of feature vectors, K = 1.

Equations (4) and (5) with a feature in place of a pixel and a second in place of a frame:
L = log(relu(v) + ε), ε = 0.001. `events.crossings` is used as for pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from events.crossings import Crossings, awake, cross, start
from events.records import LARGEST_SIDE
from events.response import check_threshold
from mdft.errors import UserError, whole

EPSILON = 1e-3
#: Tonic's dtype for one-dimensional sensors, sensor_size (D, 1, 2), without y.
FEATURE_EVENTS = np.dtype([("x", "<i2"), ("t", "<i8"), ("p", "?")])


def feature_events(features: NDArray[np.floating], threshold: float) -> NDArray[np.int8]:
    """Return the sign of the threshold crossings of L = log(relu(v) + ε) over time, for E_v.

    The memory moves by whole steps of C, so that a slow drift causes an event once it reaches C.

    Args:
        features: (T, D) float, one row per second.
        threshold: the contrast C of both polarities.

    Returns:
        (T, D) int8 in {−1, 0, 1}; row 0 is 0, because it has no earlier row.

    Raises:
        UserError: `features` is not a (T, D) array of finite numbers, or the threshold is invalid.
    """
    features = _check(features)
    found = np.zeros(features.shape, dtype=np.int8)
    for t, events in enumerate(_intervals(features, check_threshold(threshold), None, 1), start=1):
        found[t, events.pixel] = np.where(events.up, 1, -1)
    return found


def features_to_events(
    features: NDArray[np.floating],
    *,
    threshold: float = 0.2,
    threshold_off: float | None = None,
    refractory_us: int = 0,
    period_us: int = 1_000_000,
) -> NDArray[np.void]:
    """Generate the events of a feature sequence, as Tonic's 1-D events: sensor_size (D, 1, 2).

    A feature may cross several levels between two rows, each at its time: L is linear in between.
    The events are sorted by t; for equal times see `events.frames_to_events`, with x in place of
    the raster order.

    Args:
        features: (T, D) float, D ≤ 32767; row t is at t·period_us.
        threshold: the contrast C_on.
        threshold_off: the contrast C_off; None = the same.
        refractory_us: the dead time of a feature after an event, µs.
        period_us: the time from one row to the next, µs.

    Returns:
        (n,) structured array of `FEATURE_EVENTS`: x int16, t int64 µs, p bool, True = ON.

    Raises:
        UserError: an argument is wrong; the message has its name, what was found and expected.
    """
    features = _check(features)
    on = check_threshold(threshold)
    off = None if threshold_off is None else check_threshold(threshold_off, "threshold_off")
    refractory_us = whole("refractory_us", refractory_us, least=0)
    period_us = whole("period_us", period_us, least=1)
    if features.shape[1] > LARGEST_SIDE:
        found = features.shape[1]
        raise UserError(f"features: found {found} of them, expected at most {LARGEST_SIDE}")
    last = np.full(features.shape[1], np.iinfo(np.int64).min // 2)
    found = [np.empty(0, dtype=FEATURE_EVENTS)]
    for t, events in enumerate(_intervals(features, on, off, period_us)):
        if refractory_us:
            events = awake(events, t * period_us, refractory_us, last)
        order = np.argsort(events.delay, kind="stable")
        part = np.empty(len(order), dtype=FEATURE_EVENTS)
        part["x"], part["p"] = events.pixel[order], events.up[order]
        part["t"] = t * period_us + events.delay[order]
        found.append(part)
    return np.concatenate(found)


def _intervals(
    features: NDArray[np.floating], on: float, off: float | None, period_us: int
) -> Iterator[Crossings]:
    """Yield the events between each row and the next."""
    log = np.log(np.maximum(features.astype(np.float64), 0.0) + EPSILON)
    memory = start(features.shape[1])
    ups = np.full(features.shape[1], on)
    downs = ups if off is None else np.full(features.shape[1], off)
    for t in range(1, len(log)):
        events, memory = cross(log[t - 1] - log[0], log[t] - log[0], period_us, memory, ups, downs)
        yield events


def _check(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return features (T, D) as an array, or a `UserError` unless they are finite numbers."""
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        raise UserError(f"features: found {features.dtype} {features.shape}, expected float (T, D)")
    if not np.isfinite(features).all():
        t, d = (int(i) for i in np.argwhere(~np.isfinite(features))[0])
        raise UserError(f"features: found {features[t, d]} at [{t}, {d}], expected finite numbers")
    return features
