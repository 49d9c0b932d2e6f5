"""The readable generator: NumPy, float64, one interval at a time. What the product must equal.

Same semantics as `events.generator`, written from the equations without its tables, bands,
kernels or sort.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.generator import EVENTS, Sensor, check_frames
from events.response import log_table, snap


def frames_to_events_reference(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    threshold: float = 0.2,
    refractory_us: int = 0,
    luma: str = "full",
) -> NDArray[np.void]:
    """`events.frames_to_events` in plain NumPy: same arguments, same events in the same order.

    m = (L − L(first))/C;  K' = max(floor(m), min(K, ceil(m)));
    t = t₀ + floor((t₁ − t₀)/(m₁ − m₀)·(k − m₀) + ½) for every whole step k from K to K'.
    """
    sensor = Sensor(threshold, refractory_us, luma)
    frames, times = check_frames(frames, times_us)
    log = log_table(luma)[frames]
    m = snap((log - log[0]) / sensor.threshold)
    level = np.zeros(frames.shape[1:], dtype=np.int64)
    last: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int, int, bool]] = []
    for i in range(1, len(frames)):
        new = np.maximum(np.floor(m[i]), np.minimum(level, np.ceil(m[i]))).astype(np.int64)
        here: list[tuple[int, int, int, bool]] = []
        for y, x in zip(*np.nonzero(new != level), strict=True):
            up = bool(new[y, x] > level[y, x])
            for k in _steps(int(level[y, x]), int(new[y, x])):
                t = _crossing(k, m[i - 1, y, x], m[i, y, x], int(times[i - 1]), int(times[i]))
                if refractory_us and (y, x) in last and t - last[y, x] < refractory_us:
                    continue
                last[y, x] = t
                here.append((int(x), int(y), t, up))
        found += sorted(here, key=lambda event: event[2])
        level = new
    return np.array(found, dtype=EVENTS)


def _steps(old: int, new: int) -> range:
    """Return the levels crossed on the way from `old` to `new`, in order."""
    return range(old + 1, new + 1) if new > old else range(old - 1, new - 1, -1)


def _crossing(k: int, m0: float, m1: float, t0: int, t1: int) -> int:
    """Return when the line from (t0, m0) to (t1, m1) meets level k, in whole µs, half up."""
    return t0 + min(max(int(np.floor((k - m0) * ((t1 - t0) / (m1 - m0)) + 0.5)), 0), t1 - t0)
