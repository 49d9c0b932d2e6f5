"""Event files: HDF5 with Tonic's record type, written whole or not at all.

Layout: one dataset ``events``, (n,) of `events.EVENTS` (x, y, t, p), chunked, shuffled and
gzip-compressed, sorted by t; and the attributes of the file's root, one per field of `Metadata`
plus ``format`` and ``format_version``. ``h5py.File(path)["events"][:]`` is what Tonic takes.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from events.errors import UserError
from events.generator import EVENTS

FORMAT = "mdft-events"
FORMAT_VERSION = 1
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Metadata:
    """What an event file says about itself.

    Attributes:
        sensor_size: (width, height, polarities = 2), Tonic's.
        threshold: contrast C.
        refractory_us: dead time of a pixel, µs.
        luma: convention of the intensities (`events.response.LUMAS`).
        source: name of the clip, without its folder.
        fps: nominal frame rate of the clip, 0 if it declares none.
        frames: frames used.
        duration_us: time of the last frame; the first is at 0.
    """

    sensor_size: tuple[int, int, int]
    threshold: float
    refractory_us: int
    luma: str
    source: str
    fps: float
    frames: int
    duration_us: int


class EventWriter:
    """An event file in the making: append, then `close` with the metadata. Use it in a ``with``.

    It grows under a temporary name beside the target and takes the target's name only in
    `close`; leaving the ``with`` without `close` removes it.

    Raises:
        UserError: the target's folder does not exist or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise UserError(f"{self.path}: no folder {self.path.parent}; make it first")
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            self._file: h5py.File | None = h5py.File(self._part, "w")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written there ({error})") from error
        self._events = self._file.create_dataset(
            "events", (0,), EVENTS, maxshape=(None,), chunks=(_CHUNK,),
            compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        self._waiting: list[NDArray[np.void]] = []
        self._pending = self.count = 0

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def append(self, events: NDArray[np.void]) -> None:
        """Add events (n,) of `EVENTS`, not earlier than those before them."""
        if not len(events):
            return
        self._waiting.append(events)
        self._pending += len(events)
        self.count += len(events)
        if self._pending >= _CHUNK:
            self._flush(whole_chunks=True)

    def _flush(self, whole_chunks: bool) -> None:
        """Write what waits; only whole chunks unless it is the end, as each is compressed once."""
        events = np.concatenate([np.empty(0, EVENTS), *self._waiting])
        stop = len(events) // _CHUNK * _CHUNK if whole_chunks else len(events)
        begin = len(self._events)
        self._events.resize(begin + stop, axis=0)
        self._events[begin:] = events[:stop]
        self._waiting, self._pending = [events[stop:]], len(events) - stop

    def close(self, metadata: Metadata) -> None:
        """Write what waits and the metadata, and give the file its name."""
        assert self._file is not None, "closed twice"
        self._flush(whole_chunks=False)
        attributes = {"format": FORMAT, "format_version": FORMAT_VERSION} | asdict(metadata)
        self._file.attrs.update(attributes)
        self._file.close()
        self._file = None
        os.replace(self._part, self.path)


def write_events(path: str | Path, events: NDArray[np.void], metadata: Metadata) -> None:
    """Write one event file at once; see `EventWriter`."""
    with EventWriter(path) as writer:
        writer.append(events)
        writer.close(metadata)


def read_events(path: str | Path) -> tuple[NDArray[np.void], Metadata]:
    """Read an event file.

    Returns:
        (n,) events of dtype `EVENTS`, sorted by t, and the metadata.

    Raises:
        UserError: names the file, and what in it is missing or wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected an event file (python -m events.convert)")
    try:
        with h5py.File(path, "r") as file:
            metadata = _read_metadata(path, file)
            events = _read_dataset(path, file)
    except OSError as error:
        raise UserError(f"{path}: not a readable HDF5 file ({error})") from error
    _check_events(path, events, metadata)
    return events, metadata


def _read_metadata(path: Path, file: h5py.File) -> Metadata:
    found: dict[str, Any] = dict(file.attrs)
    kind, version = found.get("format"), found.get("format_version")
    if kind != FORMAT or version != FORMAT_VERSION:
        raise UserError(
            f"{path}: format {kind} version {version}, expected {FORMAT} version {FORMAT_VERSION}"
        )
    missing = [field.name for field in fields(Metadata) if field.name not in found]
    if missing:
        raise UserError(f"{path}: no attribute {', '.join(missing)}, expected one per field")
    size = np.asarray(found["sensor_size"])
    if size.shape != (3,) or size.dtype.kind not in "iu" or size.min() < 1 or size[2] != 2:
        raise UserError(f"{path}: sensor_size {size.tolist()}, expected (width, height, 2)")
    try:
        return Metadata(
            sensor_size=(int(size[0]), int(size[1]), int(size[2])),
            threshold=float(found["threshold"]),
            refractory_us=int(found["refractory_us"]),
            luma=str(found["luma"]),
            source=str(found["source"]),
            fps=float(found["fps"]),
            frames=int(found["frames"]),
            duration_us=int(found["duration_us"]),
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: an attribute of the wrong type ({error})") from error


def _read_dataset(path: Path, file: h5py.File) -> NDArray[np.void]:
    # A link or an external store could bring in another file's bytes.
    link = file.get("events", getlink=True)
    dataset = file.get("events") if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise UserError(f"{path}: no dataset 'events' stored in the file itself")
    if dataset.dtype != EVENTS or dataset.ndim != 1:
        raise UserError(
            f"{path}: events are {dataset.dtype} {dataset.shape}, expected {EVENTS} (n,)"
        )
    return dataset[:]


def _check_events(path: Path, events: NDArray[np.void], metadata: Metadata) -> None:
    width, height, _ = metadata.sensor_size
    for name, side in (("x", width), ("y", height)):
        values = events[name]
        if values.size and (values.min() < 0 or values.max() >= side):
            raise UserError(
                f"{path}: {name} runs from {values.min()} to {values.max()}, expected 0 to "
                f"{side - 1}"
            )
    if np.any(np.diff(events["t"]) < 0):
        raise UserError(f"{path}: times go backwards, expected events sorted by t")
