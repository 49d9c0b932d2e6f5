"""Read and write event files: files are written atomically, and checked when read.

The ending of the name determines the format. ``.h5`` and ``.npz`` hold events and metadata
(`events.files.metadata`); ``.aedat4``, ``.raw`` (EVT) and ``.dat`` are formats of cameras and other
tools, and hold x, y, t, p and the sensor's size. ``.aedat``, ``.bin`` (N-MNIST), ``.txt``, ``.csv``
and the HDF5 of other tools can only be read, as can any of these compressed as a whole (``.gz``,
``.bz2``, ``.xz``).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from events.binning import pool
from events.files.aedat import read_aedat
from events.files.columns import Found
from events.files.compressed import split_ending, unpacked
from events.files.evt import read_evt
from events.files.hdf5 import Hdf5Sink, read_hdf5
from events.files.isolated import read_isolated
from events.files.kinds import kind_of
from events.files.metadata import Metadata, check_events
from events.files.recordings import read_dat, read_nmnist
from events.files.spool import CameraFormat, SpoolSink, check_sides, read_npz
from events.files.text import is_event_list, read_text
from events.records import LARGEST_SIDE
from mdft.errors import UserError, reason, require_file


class _Sink(Protocol):
    def append(self, events: NDArray[np.void]) -> None: ...
    def finish(self, metadata: Metadata) -> None: ...
    def abandon(self) -> None: ...


_CAMERA_FORMATS: dict[str, CameraFormat] = {".aedat4": "aedat", ".raw": "evt", ".dat": "dat"}
_SINKS: dict[str, Callable[[Path], _Sink]] = {
    ".h5": Hdf5Sink,
    ".hdf5": Hdf5Sink,
    ".npz": lambda path: SpoolSink(path, None),
    **{
        ending: functools.partial(SpoolSink, camera=camera)
        for ending, camera in _CAMERA_FORMATS.items()
    },
}
_OURS = {".h5": read_hdf5, ".hdf5": read_hdf5, ".npz": read_npz}
_CAMERAS: dict[str, Callable[[Path], Found]] = {
    ".aedat4": read_aedat,
    ".aedat": read_aedat,
    ".raw": read_evt,
    ".dat": read_dat,
    ".bin": read_nmnist,
    ".txt": read_text,
    ".csv": read_text,
}
_TEXT = (".txt", ".csv")
_MOST_SECONDS = 6 * 3600  # E_v of so many takes about 2 GB while it is computed
#: Endings of event files that can be read, without that of a compression.
READABLE = (*_OURS, *_CAMERAS)
#: Endings of event files that can be written.
WRITABLE = tuple(_SINKS)


def check_writable(path: Path) -> None:
    """Check that an event file can be written to a path.

    Raises:
        UserError: there is no writer for the ending, or the folder does not exist.
    """
    if path.suffix.lower() not in _SINKS:
        raise UserError(
            f"{path}: no writer for {path.suffix or 'a name without ending'!r}, expected one of "
            f"{', '.join(WRITABLE)}"
        )
    if not path.parent.is_dir():
        raise UserError(f"{path}: no folder {path.parent}; create it first")


def check_size(path: Path, source: str, width: int, height: int) -> None:
    """Check that an event file at a path can hold a sensor of this size.

    Raises:
        UserError: the sides are too long for its format; the message has the source.
    """
    camera = _CAMERA_FORMATS.get(path.suffix.lower())
    if camera is not None:
        check_sides(source, camera, width, height)


class EventWriter:
    """Writer of an event file: `append` events, then `close` with the metadata, in a ``with``.

    The file has a temporary name beside the target and is renamed in `close`; leaving the ``with``
    without `close` removes it. `close` is `finish`, which can fail for the content of the file, and
    `publish`.

    Raises:
        UserError: see `check_writable`; or the folder cannot be written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_writable(self.path)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self.count = 0
        try:
            self._sink: _Sink | None = _SINKS[self.path.suffix.lower()](self._part)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written there ({reason(error)})") from error

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sink is not None:
            self._sink.abandon()
            self._part.unlink(missing_ok=True)

    def append(self, events: NDArray[np.void]) -> None:
        """Add events (n,) of `EVENTS`, not earlier than the previous ones."""
        assert self._sink is not None, "closed"
        if len(events):
            self.count += len(events)
            self._sink.append(events)

    def finish(self, metadata: Metadata) -> None:
        """Write the remaining events and the metadata."""
        assert self._sink is not None, "closed"
        self._sink.finish(metadata)

    def publish(self) -> None:
        """Rename the finished file to the target."""
        assert self._sink is not None, "closed twice"
        os.replace(self._part, self.path)
        self._sink = None

    def close(self, metadata: Metadata) -> None:
        """Write the remaining events and the metadata, and rename the file to the target."""
        self.finish(metadata)
        self.publish()


def write_events(path: str | Path, events: NDArray[np.void], metadata: Metadata) -> None:
    """Write one event file at once; see `EventWriter`."""
    with EventWriter(path) as writer:
        writer.append(events)
        writer.close(metadata)


def read_events(
    path: str | Path, sensor_size: tuple[int, int] | None = None, *, in_order: bool = True
) -> tuple[NDArray[np.void], Metadata]:
    """Read an event file of any of the formats above.

    Args:
        path: the file; its ending determines the format.
        sensor_size: (width, height) of a recording that does not declare it; by default the
            smallest sensor that holds all events.
        in_order: refuse a file whose times go backwards; otherwise its order is kept.

    Returns:
        (n,) events of dtype `EVENTS`, sorted by t unless the order is not checked, and the
        metadata. Times are those of the file: a recording begins at ``metadata.start_us``.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    return read_sized(path, sensor_size, in_order=in_order)[:2]


def read_sized(
    path: str | Path, sensor_size: tuple[int, int] | None = None, *, in_order: bool = True
) -> tuple[NDArray[np.void], Metadata, bool]:
    """As `read_events`; and whether the sensor's size is known: in the file, or given."""
    path = Path(path)
    ending, compression = split_ending(path)
    if ending not in READABLE:
        raise UserError(f"{path}: no reader for {ending!r}, expected one of {', '.join(READABLE)}")
    require_file(path, "an event file")
    if not compression:
        return _read(path, path.name, sensor_size, in_order)
    with unpacked(path) as plain:
        return _read(plain, path.name, sensor_size, in_order)


def is_event_file(path: Path) -> bool:
    """Whether a file among others is an event file: by its ending, and text files by their head."""
    ending, compression = split_ending(path)
    if ending in _TEXT and not compression:
        return path.is_file() and is_event_list(path)  # opening a pipe would hang
    return ending in READABLE and ending not in _TEXT


def has_event_ending(path: Path) -> bool:
    """Whether the ending of a name is that of event files, compressed or not."""
    return split_ending(path)[0] in READABLE


def _read(
    path: Path, name: str, sensor_size: tuple[int, int] | None, in_order: bool
) -> tuple[NDArray[np.void], Metadata, bool]:
    """Read an event file that is not compressed as a whole; `name` becomes its source."""
    ending = path.suffix.lower()
    kind = kind_of(path, sure=ending == ".bin")
    if kind is not None and ending not in kind.endings:
        raise UserError(
            f"{path}: {kind.name}, expected what its ending {ending} says; {kind.advice}"
        )
    ours = _OURS[ending](path) if ending in _OURS else None
    known = True
    if ours is not None:
        events, metadata = ours
    else:
        reader = _CAMERAS.get(ending)
        events, declared = reader(path) if reader else read_isolated(path, "hdf5")
        size = declared or sensor_size
        known = size is not None
        metadata = _of_recording(path, name, events, size)
    check_events(path, events, *metadata.sensor_size[:2], in_order=in_order)
    return events, metadata, known


def _of_recording(
    path: Path, name: str, events: NDArray[np.void], size: tuple[int, int] | None
) -> Metadata:
    if size is None:
        if not len(events):
            raise UserError(
                f"{path}: no events in it, expected a complete recording of that format"
            )
        size = (int(events["x"].max()) + 1, int(events["y"].max()) + 1)
    if not 1 <= min(size) <= max(size) <= LARGEST_SIDE:
        raise UserError(
            f"{path}: a sensor of {size[0]}x{size[1]} pixels, expected sides of 1 to {LARGEST_SIDE}"
        )
    if not len(events):
        return Metadata((*size, 2), name)
    start, end = int(events["t"].min()), int(events["t"].max())
    return Metadata((*size, 2), name, start_us=start, duration_us=end + 1 - start)


def read_bins(
    path: str | Path,
    *,
    bins_per_second: int = 8,
    grid: int = 16,
    sensor_size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Compute E_v of an event file: `pool` of `read_events`, over the whole seconds that it spans.

    Returns:
        (T, K, 2·grid·grid) uint8, the input of the motion branch after division by 16.

    Raises:
        UserError: see `read_events`; an argument is out of range; or the events span more than six
            hours, as those with one damaged time stamp may.
    """
    events, metadata = read_events(path, sensor_size)
    if metadata.seconds > _MOST_SECONDS:
        end = metadata.start_us + metadata.duration_us
        raise UserError(
            f"{path}: it spans {metadata.start_us} to {end} µs, expected at most {_MOST_SECONDS} "
            "seconds; remove the events whose time stamps are damaged, or pool parts of it with "
            "events.pool"
        )
    return pool(
        events,
        metadata.sensor_size,
        seconds=metadata.seconds,
        bins_per_second=bins_per_second,
        grid=grid,
        start_us=metadata.start_us,
    )
