"""Feature events: the event generation model on a sequence of feature vectors, K = 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.errors import UserError
from events.response import check_threshold, snap

EPSILON = 1e-3


def feature_events(features: NDArray[np.floating], threshold: float) -> NDArray[np.int8]:
    """Sign of the threshold crossings of L = log(relu(v) + ε) over time, ε = 0.001.

    Equations (4) and (5) with a feature in the place of a pixel and a second in the place of a
    frame: K' = max(floor(m), min(K, ceil(m))), m = (L(t) − L(0))/C, output sign(K' − K). The
    memory moves by whole steps of C, so a slow drift fires when it has added up.

    Args:
        features: (T, D) float, one row a second.
        threshold: C.

    Returns:
        (T, D) int8 in {−1, 0, 1}; row 0 is 0, for there is nothing to compare it with.

    Raises:
        UserError: not a (T, D) array of finite numbers, or an impossible threshold.
    """
    threshold = check_threshold(threshold)
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        raise UserError(f"features: found {features.dtype} {features.shape}, expected float (T, D)")
    if not np.isfinite(features).all():
        t, d = (int(i) for i in np.argwhere(~np.isfinite(features))[0])
        raise UserError(f"features: found {features[t, d]} at [{t}, {d}], expected finite numbers")
    log = np.log(np.maximum(features.astype(np.float64), 0.0) + EPSILON)
    events = np.zeros(features.shape, dtype=np.int8)
    level = np.zeros(features.shape[1])
    for t in range(1, len(features)):
        m = snap((log[t] - log[0]) / threshold)
        new = np.maximum(np.floor(m), np.minimum(level, np.ceil(m)))
        events[t] = np.sign(new - level)
        level = new
    return events
