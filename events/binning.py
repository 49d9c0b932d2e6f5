"""Pool events on a coarse grid: E_v, the input of the motion branch.

Contract: (T, K, 2·grid·grid) uint8 with channel ``p·grid² + gy·grid + gx`` (Tonic's (P, H, W)
order flattened; p 0 = OFF, 1 = ON), gx = x·grid // W, gy = y·grid // H. A value is the number of
events per pixel of its cell in sixteenths, rounded half up and saturating:

    value = min(255, (32·count + area) // (2·area)),   area = pixels of the cell
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.cells import cell_areas, cell_map
from events.dense import count_by_cell, window_of
from events.device import bins_on
from events.kernels.counting import count_events
from events.records import EVENTS, LARGEST_SIDE, check_values
from events.sensor import Sensor
from mdft.errors import UserError, whole


def _sixteenths(
    counts: NDArray[np.int32], size: tuple[int, int], grid: int, per_second: int
) -> NDArray[np.uint8]:
    """Return E_v (T, K, 2·grid·grid) of counts (T·K, 2, cells); see the module."""
    # A cell without pixels has no events: its value is 0 for any area.
    area = np.maximum(cell_areas(*size, grid), 1)
    full = np.zeros((*counts.shape[:2], grid * grid), dtype=np.int64)
    full[:, :, : counts.shape[2]] = counts
    values = np.minimum((32 * full + area) // (2 * area), 255).astype(np.uint8)
    return values.reshape(-1, per_second, 2 * grid * grid)


def _check_sensor(sensor_size: tuple[int, int, int]) -> tuple[int, int]:
    """Return (width, height) of a sensor with Tonic's two polarities."""
    if len(sensor_size) != 3 or sensor_size[2] != 2:
        raise UserError(f"sensor_size: found {sensor_size}, expected (width, height, 2)")
    width, height, _ = (whole("sensor_size", side, least=1) for side in sensor_size)
    if max(width, height) > LARGEST_SIDE:
        raise UserError(
            f"sensor_size: found {sensor_size}, expected sides of at most {LARGEST_SIDE}"
        )
    return width, height


def _as_tonic(events: NDArray[np.void], width: int, height: int) -> NDArray[np.void]:
    """Return the events, checked, as `EVENTS` records with addresses on the sensor."""
    names = events.dtype.names or ()
    missing = [name for name in ("x", "y", "t", "p") if name not in names]
    if events.ndim != 1 or missing:
        raise UserError(
            f"events: found dtype {events.dtype} {events.shape}, expected a 1-D structured array "
            "with Tonic's fields x, y, t, p"
        )
    for name, kinds, unit, hint in (
        ("t", "iu", "integer µs", "seconds? multiply by 1e6 and cast"),
        ("x", "iu", "integer pixels", "cast it"),
        ("y", "iu", "integer pixels", "cast it"),
        ("p", "iub", "bool, or 1 for ON and 0 or -1 for OFF", "cast it"),
    ):
        if events[name].dtype.kind not in kinds:
            raise UserError(f"events: {name} is {events[name].dtype}, expected {unit}; {hint}")
    for name, side in (("x", width), ("y", height)):
        values = events[name]
        if values.size and (values.min() < 0 or values.max() >= side):
            raise UserError(
                f"events: {name} runs from {values.min()} to {values.max()}, expected 0 to "
                f"{side - 1} on a sensor of {width}x{height}; is sensor_size (W, H, P)?"
            )
    if events.dtype == EVENTS:
        return np.ascontiguousarray(events)
    check_values("events", events["t"], events["p"])
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
    """Compute E_v of a list of events: counts per bin, polarity and cell, in 1/16 event per pixel.

    Bin b covers start_us + [b, b + 1)·10⁶/bins_per_second µs, half open: an event before the start
    or exactly at the end of the last second is in no bin.

    Args:
        events: (n,) structured, integer fields x, y, t (µs) and p (bool, or 1 for ON and 0 or −1
            for OFF); any order.
        sensor_size: (width, height, 2), as in Tonic.
        seconds: the number of seconds T.
        bins_per_second: the number of bins per second K.
        grid: the number of cells along each side.
        start_us: the start of the first bin, µs.

    Returns:
        (T, K, 2·grid·grid) uint8.

    Raises:
        UserError: sizes or fields are wrong, times, addresses or polarities are not integers, an
            event lies outside the sensor, or its polarity is another number.
    """
    width, height = _check_sensor(sensor_size)
    grid = whole("grid", grid, least=1)
    window = window_of(seconds, bins_per_second, start_us)
    events = _as_tonic(np.asarray(events), width, height)
    counts = np.zeros((window.bins, 2, grid * grid), dtype=np.int32)
    count_events(events, counts, cell_map(width, height, grid), width, window)
    return _sixteenths(counts, (width, height), grid, window.per_second)


def frames_to_bins(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    seconds: int,
    bins_per_second: int = 8,
    grid: int = 16,
    threshold: float = 0.2,
    threshold_off: float | None = None,
    refractory_us: int = 0,
    luma: str = "full",
    start_us: int = 0,
    device: str | None = None,
) -> NDArray[np.uint8]:
    """Compute E_v of a clip: equal to `pool` of `frames_to_events`, without the list of events.

    Args:
        frames: (F,H,W) uint8 luma.
        times_us: (F,) int64 µs, strictly increasing.
        seconds: the number of seconds T.
        bins_per_second: the number of bins per second K.
        grid: the number of cells along each side.
        threshold: the contrast C of an ON event.
        threshold_off: the contrast of an OFF event; None = the same.
        refractory_us: the dead time of a pixel after an event, µs.
        luma: the luma convention of the bytes.
        start_us: the start of the first bin, µs.
        device: a torch device that computes them, without refractory period, such as ``cuda``;
            None = the compiled kernels. `events.device.bins_on` leaves E_v on the device.

    Returns:
        (T, K, 2·grid·grid) uint8. The kernels release the GIL.

    Raises:
        UserError: see `events.frames_to_events` and `pool`.
    """
    sensor = Sensor(threshold, threshold_off, refractory_us, luma)
    grid = whole("grid", grid, least=1)
    window = window_of(seconds, bins_per_second, start_us)
    shape = np.shape(frames)
    if len(shape) != 3:
        raise UserError(f"frames: found {shape}, expected uint8 (F, H, W) luma")
    if device is not None:
        return bins_on(device, frames, times_us, sensor, window, grid).cpu().numpy()
    cells = cell_map(shape[2], shape[1], grid)
    counts = count_by_cell(frames, times_us, sensor, window, cells)
    return _sixteenths(counts, (shape[2], shape[1]), grid, window.per_second)
