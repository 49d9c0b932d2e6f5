"""E_v of feature-only benchmarks: threshold crossings of the visual features, K = 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: Width of E_v.
CHANNELS = 512
#: Feature values processed at a time; each of several temporary arrays has 32 MiB of float64.
_CHUNK = 1 << 22


def feature_bins(
    visual_MD: np.ndarray, offsets_N1: np.ndarray, threshold: float, channels: int = CHANNELS
) -> Iterator[np.ndarray]:
    """E_v of packed clips, a few clips at a time, in order.

    Each feature has the event −1, 0 or 1 in each second (:func:`events.feature_events`). Feature i
    of W belongs to channel ``i · channels // W``, whose value is the mean event of its features,
    rounded to sixteenths; a channel without features is 0.

    Args:
        visual_MD: (M, W) features, not standardised.
        offsets_N1: (n + 1,) offsets of the clips.
        threshold: threshold C, a difference of log features.
        channels: width of E_v.

    Yields:
        (m, 1, channels) int8 in sixteenths, −16 to 16.
    """
    limit = max(1, _CHUNK // visual_MD.shape[1])
    start = 0
    while start < len(offsets_N1) - 1:
        stop = int(np.searchsorted(offsets_N1, offsets_N1[start] + limit, side="right")) - 1
        stop = max(stop, start + 1)
        bounds = offsets_N1[start : stop + 1]
        chunk = np.asarray(visual_MD[bounds[0] : bounds[-1]])
        signs = _signs(chunk, bounds - bounds[0], threshold)
        yield group_means(signs, channels)[:, None]
        start = stop


def _signs(visual_MD: np.ndarray, offsets_N1: np.ndarray, threshold: float) -> np.ndarray:
    """(m, W) int8 events; clips of equal length are processed together as independent features."""
    from events import feature_events  # imported here: it needs numba, a model with bins does not

    signs = np.empty(visual_MD.shape, dtype=np.int8)
    seconds_N = np.diff(offsets_N1)
    for seconds in np.unique(seconds_N):
        rows_NT = offsets_N1[:-1][seconds_N == seconds, None] + np.arange(seconds)
        side_by_side = visual_MD[rows_NT].swapaxes(0, 1)  # (T, n, W)
        found = feature_events(side_by_side.reshape(seconds, -1), threshold)
        signs[rows_NT] = found.reshape(side_by_side.shape).swapaxes(0, 1)
    return signs


def group_means(signs_MW: np.ndarray, channels: int) -> np.ndarray:
    """(m, channels) int8: the mean of each group of signs in sixteenths, halves rounded up."""
    width = signs_MW.shape[1]
    channel, first, size = np.unique(
        np.arange(width) * channels // width, return_index=True, return_counts=True
    )
    sums = np.add.reduceat(signs_MW, first, axis=1, dtype=np.int32)
    out = np.zeros((len(signs_MW), channels), dtype=np.int8)
    out[:, channel] = (32 * sums + size) // (2 * size)
    return out
