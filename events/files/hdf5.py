"""Events in HDF5: Tonic's records, chunked, shuffled and compressed.

One dataset ``events``, (n,) of `events.EVENTS` (x, y, t, p), sorted by t; and the attribute
``metadata`` of the file's root, JSON. ``h5py.File(path)["events"][:]`` is what Tonic takes.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from events.files.columns import check_expansion
from events.files.hdf5_layouts import stored_dataset
from events.files.metadata import Metadata, metadata_from_json
from events.records import EVENTS
from mdft.errors import UserError, reason

_CHUNK = 1 << 16


class Hdf5Sink:
    """An HDF5 file that grows by whole chunks, so that each is compressed once."""

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "w")
        self._events = self._file.create_dataset(
            "events", (0,), EVENTS, maxshape=(None,), chunks=(_CHUNK,),
            compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        self._waiting: list[NDArray[np.void]] = []
        self._pending = 0

    def append(self, events: NDArray[np.void]) -> None:
        """Add events (n,) of `EVENTS`."""
        self._waiting.append(events)
        self._pending += len(events)
        if self._pending >= _CHUNK:
            self._flush(whole_chunks=True)

    def _flush(self, whole_chunks: bool) -> None:
        events = np.concatenate([np.empty(0, EVENTS), *self._waiting])
        stop = len(events) // _CHUNK * _CHUNK if whole_chunks else len(events)
        begin = len(self._events)
        self._events.resize(begin + stop, axis=0)
        self._events[begin:] = events[:stop]
        self._waiting, self._pending = [events[stop:]], len(events) - stop

    def finish(self, metadata: Metadata) -> None:
        """Write the remaining events and the metadata, and close the file."""
        self._flush(whole_chunks=False)
        self._file.attrs["metadata"] = metadata.to_json()
        self._file.close()

    def abandon(self) -> None:
        """Close the file without writing the remaining events."""
        self._file.close()


def read_hdf5(path: Path) -> tuple[NDArray[np.void], Metadata] | None:
    """Read an HDF5 event file that this package wrote; order and addresses are not checked here.

    Returns:
        The events and their metadata, or None if there is no attribute ``metadata``: another
        tool wrote the file (`events.files.hdf5_layouts`).

    Raises:
        UserError: the file is not as described above; the message has the file and the reason.
    """
    try:
        with h5py.File(path, "r") as file:
            if "metadata" not in file.attrs:
                return None
            metadata = metadata_from_json(path, file.attrs["metadata"])
            dataset = stored_dataset(path, file, "events")
            if dataset is None:
                raise UserError(
                    f"{path}: no dataset 'events' stored in the file itself, expected one"
                )
            if dataset.dtype != EVENTS or dataset.ndim != 1:
                raise UserError(
                    f"{path}: events are {dataset.dtype} {dataset.shape}, expected {EVENTS} (n,)"
                )
            check_expansion(path, dataset.nbytes, path.stat().st_size)
            return dataset[:], metadata
    except UserError:
        raise
    except Exception as error:  # h5py raises many types for damaged files
        raise UserError(f"{path}: not a readable HDF5 file ({reason(error)})") from error
