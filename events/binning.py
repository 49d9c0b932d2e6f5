"""Events pooled on a coarse grid: E_v, what the motion branch sees.

Contract: (T, K, 2·grid·grid) uint8 with channel ``p·grid² + gy·grid + gx`` (Tonic's (P, H, W)
order flattened; p 0 = OFF, 1 = ON), gx = x·grid // W, gy = y·grid // H. A value is the number of
events per pixel of its cell in sixteenths, rounded half up and saturating:

    value = min(255, (32·count + area) // (2·area)),   area = pixels of the cell
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events import kernels
from events.errors import UserError, whole
from events.generator import EVENTS, frames_to_events


def cell_areas(width: int, height: int, grid: int) -> NDArray[np.int64]:
    """Count the pixels of each cell, (grid·grid,) int64; 0 where the sensor is finer than it."""
    columns = np.bincount(np.arange(width) * grid // width, minlength=grid)
    rows = np.bincount(np.arange(height) * grid // height, minlength=grid)
    return np.outer(rows, columns).reshape(-1)


def _check_sensor(sensor_size: tuple[int, int, int]) -> tuple[int, int]:
    """Return (width, height) of a sensor with Tonic's two polarities."""
    if len(sensor_size) != 3 or sensor_size[2] != 2:
        raise UserError(f"sensor_size: found {sensor_size}, expected (width, height, 2)")
    width, height, _ = (whole("sensor_size", side, least=1) for side in sensor_size)
    return width, height


def _as_tonic(events: NDArray[np.void], width: int, height: int) -> NDArray[np.void]:
    """Return the events as `EVENTS` records, with integer times and addresses on the sensor."""
    names = events.dtype.names or ()
    missing = [name for name in ("x", "y", "t", "p") if name not in names]
    if events.ndim != 1 or missing:
        raise UserError(
            f"events: found dtype {events.dtype} {events.shape}, expected a 1-D structured array "
            "with Tonic's fields x, y, t, p"
        )
    for name, unit, hint in (
        ("t", "µs", "seconds? multiply by 1e6 and cast"),
        ("x", "pixels", "cast it"),
        ("y", "pixels", "cast it"),
    ):
        if events[name].dtype.kind not in "iu":
            raise UserError(
                f"events: {name} is {events[name].dtype}, expected integer {unit}; {hint}"
            )
    for name, side in (("x", width), ("y", height)):
        values = events[name]
        if values.size and (values.min() < 0 or values.max() >= side):
            raise UserError(
                f"events: {name} runs from {values.min()} to {values.max()}, expected 0 to "
                f"{side - 1} on a sensor of {width}x{height}; is sensor_size (W, H, P)?"
            )
    if events.dtype == EVENTS:
        return np.ascontiguousarray(events)
    same = np.empty(len(events), dtype=EVENTS)
    for name in ("x", "y", "t"):
        same[name] = events[name]
    same["p"] = events["p"] > 0
    return same


def pool(
    events: NDArray[np.void],
    sensor_size: tuple[int, int, int],
    *,
    seconds: int,
    bins_per_second: int = 8,
    grid: int = 16,
    start_us: int = 0,
) -> NDArray[np.uint8]:
    """E_v of a list of events: counts per bin, polarity and cell, in sixteenths of a pixel.

    Bin b of the clip holds start_us + [b, b + 1)·10⁶/bins_per_second µs, half open: an event
    exactly at the end of the last second belongs to nothing, nor does one before the start.

    Args:
        events: (n,) structured, integer fields x, y, t (µs) and p; any order.
        sensor_size: (width, height, 2), Tonic's.
        seconds: T.
        bins_per_second: K.
        grid: cells along each side.
        start_us: time of the first bin.

    Returns:
        (T, K, 2·grid·grid) uint8.

    Raises:
        UserError: wrong sizes, fields, times or addresses that are no integers, or an event off
            the sensor.
    """
    width, height = _check_sensor(sensor_size)
    seconds, grid = whole("seconds", seconds, least=1), whole("grid", grid, least=1)
    bins_per_second = whole("bins_per_second", bins_per_second, least=1)
    start_us = whole("start_us", start_us)
    events = _as_tonic(np.asarray(events), width, height)
    counts = np.zeros((seconds * bins_per_second, 2 * grid * grid), dtype=np.int64)
    end_us = start_us + seconds * 1_000_000
    kernels.count_bins(events, counts, width, height, grid, bins_per_second, start_us, end_us)
    # A cell of no pixels has no events: any area keeps it at 0.
    area = np.tile(np.maximum(cell_areas(width, height, grid), 1), 2)
    values = np.minimum((32 * counts + area) // (2 * area), 255).astype(np.uint8)
    return values.reshape(seconds, bins_per_second, 2 * grid * grid)


def frames_to_bins(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    seconds: int,
    bins_per_second: int = 8,
    grid: int = 16,
    threshold: float = 0.2,
    luma: str = "full",
    start_us: int = 0,
) -> NDArray[np.uint8]:
    """E_v of a clip: `pool` of `frames_to_events`, for many small clips.

    Args:
        frames: (F,H,W) uint8 luma.
        times_us: (F,) int64 µs, strictly increasing.
        seconds: T.
        bins_per_second: K.
        grid: cells along each side.
        threshold: contrast C.
        luma: convention of the bytes.
        start_us: time of the first bin.

    Returns:
        (T, K, 2·grid·grid) uint8. The kernels release the GIL: threads help.
    """
    events = frames_to_events(frames, times_us, threshold=threshold, luma=luma)
    size = (int(np.shape(frames)[2]), int(np.shape(frames)[1]), 2)
    return pool(
        events, size, seconds=seconds, bins_per_second=bins_per_second, grid=grid, start_us=start_us
    )
