"""Count the events of each cell and time bin without making a list of events.

Equal to counting the events of `events.frames_to_events` (tested), at less than half the cost: no
keys, no sort, no records, and no crossing times while an interval between frames lies in one bin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.kernels.counting import Window, count_frames
from events.sensor import Sensor
from events.state import check_chunk, check_frames, first_state, tables_of
from mdft.errors import whole


def count_by_cell(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    sensor: Sensor,
    window: Window,
    cells: NDArray[np.int32] | None,
) -> NDArray[np.int32]:
    """Count the events of an ideal sensor per bin, polarity and cell.

    Args:
        frames: (F,H,W) uint8.
        times_us: (F,) int64 µs.
        sensor: without noise.
        window: the bins.
        cells: (H·W,) cell of each pixel; None = each its own.

    Returns:
        (bins, 2, cells) int32; polarity 0 = OFF, 1 = ON.
    """
    assert not sensor.noise.some
    frames, times = check_frames(frames, times_us)
    state = first_state(frames[0], int(times[0]), sensor)
    check_chunk(frames, times, state, sensor)
    flat = frames.reshape(len(frames), -1)
    if cells is None:
        cells = np.arange(flat.shape[1], dtype=np.int32)
    counts = np.zeros((window.bins, 2, int(cells.max()) + 1), dtype=np.int32)
    count_frames(
        flat, times, state.pixels, tables_of(sensor), sensor.refractory_us, window, cells, counts
    )
    return counts


def frames_to_counts(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    seconds: int,
    bins_per_second: int = 8,
    threshold: float = 0.2,
    threshold_off: float | None = None,
    refractory_us: int = 0,
    luma: str = "full",
    start_us: int = 0,
) -> NDArray[np.int32]:
    """Count a clip's events per pixel and bin, in Tonic's frame order, with no list between.

    ON less OFF of a bin is ΔK, the whole steps by which a pixel's memory moved in it.

    Args:
        frames: (F,H,W) uint8 luma.
        times_us: (F,) int64 µs, strictly increasing.
        seconds: T.
        bins_per_second: K.
        threshold: contrast C of an ON event.
        threshold_off: contrast of an OFF event; None = the same.
        refractory_us: dead time of a pixel after an event.
        luma: convention of the bytes.
        start_us: time of the first bin.

    Returns:
        (T·K, 2, H, W) int32; bins as `events.pool` says, polarity 0 = OFF.

    Raises:
        UserError: as `events.frames_to_events` and `events.pool`.
    """
    sensor = Sensor(threshold, threshold_off, refractory_us, luma)
    window = window_of(seconds, bins_per_second, start_us)
    counts = count_by_cell(frames, times_us, sensor, window, None)
    return counts.reshape(*counts.shape[:2], *np.shape(frames)[1:])


def window_of(seconds: int, bins_per_second: int, start_us: int) -> Window:
    """Return the bins of T seconds from `start_us` on, checked."""
    seconds = whole("seconds", seconds, least=1)
    bins_per_second = whole("bins_per_second", bins_per_second, least=1)
    start_us = whole("start_us", start_us)
    return Window(start_us, start_us + seconds * 1_000_000, bins_per_second)
