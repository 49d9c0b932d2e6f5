"""Events → counts in bins: the transforms of Tonic that are asked for, checks, and the bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tonic
from numpy.typing import NDArray

from mdft.config.recordings import RecordingsConfig, Transform
from mdft.errors import UserError

Size = tuple[int, int]
MOST = 255  # counts saturate at 8 bits


class RecordingError(UserError):
    """One recording cannot be used; the others can."""


def checked(name: str, events: NDArray[np.void], sensor: Size, *, sort: bool) -> NDArray[np.void]:
    """Return the events of a recording, sorted by time.

    Args:
        name: name of the recording in messages.
        events: with the fields x, t and, of a sensor with rows or polarities, y and p.
        sensor: width and height.
        sort: whether unsorted times are sorted.

    Raises:
        RecordingError: there are no events, or one lies outside the sensor.
        UserError: the times are not sorted, and need to be.
    """
    if not len(events):
        raise RecordingError(f"{name}: no events in it, expected at least one")
    for field, side in zip(("x", "y"), sensor, strict=True):
        if field not in (events.dtype.names or ()):
            continue
        low, high = int(events[field].min()), int(events[field].max())
        if low < 0 or high >= side:
            raise RecordingError(
                f"{name}: {field} runs from {low} to {high}, expected 0 to {side - 1} of the sensor"
            )
    back = np.flatnonzero(np.diff(events["t"].astype(np.int64)) < 0)
    if not back.size:
        return events
    if not sort:
        first = int(back[0])
        raise UserError(
            f"{name}: times are not sorted, event {first + 1} at {int(events['t'][first + 1])} µs "
            f"follows one at {int(events['t'][first])} µs; if that is how it was recorded, give "
            "--data.transform sort"
        )
    return events[np.argsort(events["t"], kind="stable")]


def transformed(
    events: NDArray[np.void], transforms: Sequence[Transform], *, training: bool, seed: int
) -> NDArray[np.void]:
    """Apply the transforms that act on events, in order; ``drop`` to training recordings alone.

    Args:
        events: of one recording, sorted.
        transforms: the transforms; ``sort`` and ``mirror`` are applied elsewhere.
        training: whether it is a training recording.
        seed: seed of ``drop``, one for each recording.
    """
    for transform in transforms:
        if not len(events):
            break
        if transform.name == "denoise":
            events = tonic.transforms.Denoise(filter_time=transform.number)(_with_rows(events))
        elif transform.name == "drop" and training:
            state = np.random.get_state()
            try:  # Tonic draws from NumPy's global generator
                np.random.seed(seed)
                events = tonic.transforms.DropEvent(p=transform.number)(events)
            finally:
                np.random.set_state(state)
        elif transform.name == "pool":
            # Tonic multiplies by 1/k and rounds down: 49 · (1/49) would become pixel 0 and not 1.
            factor = (1 + 2.0**-40) / transform.number
            events = tonic.transforms.Downsample(spatial_factor=factor)(events)
    return events


def pooled_size(sensor: Size, transforms: Sequence[Transform]) -> Size:
    """Width and height after the transforms."""
    for transform in transforms:
        if transform.name == "pool":
            k = int(transform.number)
            sensor = -(-sensor[0] // k), -(-sensor[1] // k)
    return sensor


def _with_rows(events: NDArray[np.void]) -> NDArray[np.void]:
    """Add y = 0 to the events of a sensor without rows, such as SHD's."""
    if "y" in (events.dtype.names or ()):
        return events
    fields = [*events.dtype.descr, ("y", "<i8")]
    found = np.zeros(len(events), np.dtype(fields))
    for name in events.dtype.names or ():
        found[name] = events[name]
    return found


def count(
    events: NDArray[np.void], sensor: Size, polarities: int, config: RecordingsConfig
) -> tuple[NDArray[np.uint8], int]:
    """Count the events of each bin, polarity and pixel.

    Bin s holds the events with ``s·bin_ms <= t − t_0 < (s + 1)·bin_ms``, t_0 the time of the first
    event; or with ``bin_events`` the s-th so many events. Counts saturate at 255.

    >>> events = np.array([(0, 1, 500, 1), (1, 0, 1600, 0)],
    ...                   dtype=[("x", int), ("y", int), ("t", int), ("p", int)])
    >>> counts, late = count(events, (2, 2), 2, RecordingsConfig(bins=2, bin_ms=1.0))
    >>> counts.shape, np.argwhere(counts).tolist(), late
    ((2, 2, 2, 2), [[0, 1, 1, 0], [1, 0, 0, 1]], 0)

    Args:
        events: of one recording, sorted by time.
        sensor: width and height.
        polarities: 2, or 1 to ignore the polarity.
        config: number and length of the bins.

    Returns:
        (bins, polarities, height, width) uint8, and the number of events after the last bin.
    """
    width, height = sensor
    if config.bin_events:
        bins = np.arange(len(events)) // config.bin_events
    else:
        elapsed = events["t"].astype(np.int64) - int(events["t"][0])
        bins = (elapsed / (config.bin_ms * 1000)).astype(np.int64)
    kept = bins < config.bins
    names = events.dtype.names or ()
    place = bins[kept]
    on = events["p"][kept].astype(np.int64) > 0 if polarities == 2 and "p" in names else 0
    place = place * polarities + on
    y = events["y"][kept].astype(np.int64) if "y" in names else 0
    place = (place * height + y) * width + events["x"][kept].astype(np.int64)
    shape = (config.bins, polarities, height, width)
    found = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
    return np.minimum(found, MOST).astype(np.uint8), int(len(events) - kept.sum())
