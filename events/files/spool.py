"""Event files that can be written only once all events are known: npz and camera formats.

Events are kept as raw records in a temporary file, so that memory stays constant, and are written
in pieces when the clip has ended. Faery (0.7, 2026) writes aedat4, EVT 2 and DAT; these formats
hold x, y, t, p and the sensor's size, but no other `Metadata`.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from events.files.columns import check_expansion
from events.files.metadata import Metadata, metadata_from_json
from events.records import EVENTS
from mdft.errors import UserError, reason

_PIECE = 1 << 18
# EVT 3 is smaller, but a gap of 17 s without events (24 bits of µs) loses a wrap of its time.
_EVT = "evt2"
# DAT has 32 bits of µs and EVT 2 has 34.
_LAST_US = 2**32 - 1
_LARGEST_SIDE = {"aedat": 1 << 15, "evt": 1 << 11, "dat": 1 << 14}

CameraFormat = Literal["aedat", "evt", "dat"]


class SpoolSink:
    """Collect records on disk; `finish` writes them as npz or in a camera's format."""

    def __init__(self, path: Path, camera: CameraFormat | None) -> None:
        self._path = path
        self._camera: CameraFormat | None = camera
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        self._count = 0

    def append(self, events: NDArray[np.void]) -> None:
        """Add events (n,) of `EVENTS`."""
        self._spool.write(events.tobytes())
        self._count += len(events)

    def _pieces(self) -> Iterator[NDArray[np.void]]:
        self._spool.seek(0)
        while data := self._spool.read(_PIECE * EVENTS.itemsize):
            yield np.frombuffer(data, dtype=EVENTS)

    def finish(self, metadata: Metadata) -> None:
        """Write the file."""
        with self._spool:
            if self._camera is None:
                _write_npz(self._path, self._pieces(), self._count, metadata)
            else:
                _write_camera(self._path, self._pieces(), self._camera, metadata)

    def abandon(self) -> None:
        """Discard the records."""
        self._spool.close()


def _write_npz(
    path: Path, pieces: Iterator[NDArray[np.void]], count: int, metadata: Metadata
) -> None:
    """Write arrays ``events`` (n,) of `EVENTS` and ``metadata`` (), JSON, as `numpy.savez` does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        header = {"descr": npy.dtype_to_descr(EVENTS), "fortran_order": False, "shape": (count,)}
        with archive.open("events.npy", "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, header)
            for piece in pieces:
                file.write(piece.tobytes())
        text = io.BytesIO()
        npy.write_array(text, np.array(metadata.to_json()), allow_pickle=False)
        archive.writestr("metadata.npy", text.getvalue())


def read_npz(path: Path) -> tuple[NDArray[np.void], Metadata]:
    """Read an npz event file; order and addresses are not checked here.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    try:
        # np.load leaves a damaged file open that it has opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            declared = sum(item.file_size for item in archive.zip.infolist())
            check_expansion(path, declared, path.stat().st_size)
            events, metadata = archive["events"], str(archive["metadata"])
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy raise many types for damaged files
        raise UserError(
            f"{path}: not a readable npz with arrays 'events' and 'metadata' ({reason(error)})"
        ) from error
    if events.dtype != EVENTS or events.ndim != 1:
        raise UserError(f"{path}: events are {events.dtype} {events.shape}, expected {EVENTS} (n,)")
    return events, metadata_from_json(path, metadata)


def check_sides(source: str, camera: CameraFormat, width: int, height: int) -> None:
    """Refuse a sensor that is too large for a camera's format, naming the source of the events.

    Raises:
        UserError: see above.
    """
    if max(width, height) > _LARGEST_SIDE[camera]:
        raise UserError(
            f"{source}: {width}x{height} pixels, expected sides of at most "
            f"{_LARGEST_SIDE[camera]} in this format; write .h5 or .npz"
        )


def _write_camera(
    path: Path, pieces: Iterator[NDArray[np.void]], camera: CameraFormat, metadata: Metadata
) -> None:
    import faery  # the import takes most of a second
    from faery.file_encoder import events_to_file

    last = metadata.start_us + metadata.duration_us
    if metadata.start_us < 0 or (camera != "aedat" and last > _LAST_US):
        raise UserError(
            f"{metadata.source}: times from {metadata.start_us} to {last} µs, expected 0 or later "
            f"and, but in .aedat4, at most {_LAST_US}; write .h5 or .npz"
        )

    width, height, _ = metadata.sensor_size
    check_sides(metadata.source, camera, width, height)

    def renamed() -> Iterator[NDArray[np.void]]:
        for piece in pieces:
            same = np.empty(len(piece), dtype=faery.EVENTS_DTYPE)
            for name in ("t", "x", "y"):
                same[name] = piece[name]
            same["on"] = piece["p"]
            yield same

    events_to_file(
        renamed(),
        path,
        (width, height),
        version=_EVT if camera == "evt" else None,
        zero_t0=False,
        file_type=camera,
        use_write_suffix=False,
    )
