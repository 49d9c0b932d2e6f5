"""Write a safetensors file tensor by tensor in bounded memory; read it as memory maps.

The format is plain safetensors (8 bytes of header length, a JSON header, the tensors), which other
tools can read. The library's writer needs all tensors in memory; this one reserves space for the
header, appends chunks, and writes the header when every shape is known.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open

from mdft.errors import UserError
from mdft.files import replacing

#: Offset of the first tensor, a multiple of the page size, so that maps are aligned.
_START = 16384
#: Tensors up to this size in bytes are compared with their checksum when a file is opened. Larger
#: ones are only mapped and their size is checked, because reading them would delay the start.
VERIFIED = 1 << 26
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "I64": "<i8",
    "I8": "|i1",
    "U8": "|u1",
}
_NAMES = {np.dtype(v): k for k, v in _DTYPES.items()}


class Writer:
    """Appends tensors to a file; see :func:`create`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.metadata: dict[str, str] = {}
        self._header: dict[str, dict[str, object]] = {}
        self._sums: dict[str, str] = {}

    def write(self, name: str, chunks: Iterable[np.ndarray]) -> np.ndarray:
        """Append one tensor, given as chunks along its first axis.

        Args:
            name: name of the tensor.
            chunks: at least one array; all have the same dtype and the same further axes.

        Returns:
            The tensor as a read-only memory map.
        """
        begin, length, like = self.file.tell(), 0, None
        digest = hashlib.sha256()
        for chunk in chunks:
            array = np.ascontiguousarray(chunk)
            like = array[:0] if like is None else like
            assert array.shape[1:] == like.shape[1:] and array.dtype == like.dtype, name
            length += len(array)
            digest.update(array.data)
            self.file.write(array.data)
        assert like is not None, name
        self.file.flush()
        shape = (length, *like.shape[1:])
        self._header[name] = {
            "dtype": _NAMES[like.dtype],
            "shape": list(shape),
            "data_offsets": [begin - _START, self.file.tell() - _START],
        }
        self._sums[name] = digest.hexdigest()
        return _map(self.path, like.dtype, begin, shape)

    def finish(self) -> None:
        """Write the header, which makes the file a valid safetensors file."""
        metadata = {**self.metadata, "sha256": json.dumps(self._sums)}
        header = json.dumps({"__metadata__": metadata, **self._header}).encode()
        assert len(header) <= _START - 8, "the names do not fit into the reserved header"
        self.file.seek(0)
        self.file.write((_START - 8).to_bytes(8, "little") + header.ljust(_START - 8))
        self.file.flush()
        os.fsync(self.file.fileno())


@contextmanager
def create(path: Path) -> Iterator[Writer]:
    """A writer of ``path``; the file is written completely at the end of the block or not at all.

    Raises:
        UserError: the folder cannot be created or written.
        OSError: the disk is full.
    """
    make_folder(path.parent)
    _remove_abandoned(path)
    with replacing(path) as temporary, temporary.open("wb") as file:
        with suppress(OSError):  # without locks in the file system it is never removed
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(_START)
        writer = Writer(temporary, file)
        yield writer
        writer.finish()


def make_folder(folder: Path) -> None:
    """Create the cache folder if it does not exist.

    Raises:
        UserError: the folder cannot be created or written.
    """
    advice = "name another folder with --data.cache or MDFT_CACHE"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cache folder {folder}: {error.strerror}; {advice}") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cache folder {folder}: not writable; {advice}")


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files that killed writers of ``path`` left: not empty and not locked.

    A writer locks its file while it is still empty, so a file in use is never removed.
    """
    for old in path.parent.glob(f".{escape(path.stem)}.*.tmp{path.suffix}"):
        with suppress(OSError), old.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_size:
                old.unlink()


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the tensors of a file, as read-only memory maps, and its metadata.

    Raises:
        UserError: the file is not a complete file of :func:`create`, or a checksum differs.
        FileNotFoundError: the file does not exist.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: not a complete safetensors file ({error})") from error
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
    header.pop("__metadata__", None)
    try:
        sums = json.loads(metadata["sha256"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: has no checksums, expected a cache file of mdft") from error
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES or name not in sums:
            raise UserError(f"{path}: unexpected tensor {name!r}, expected a cache file of mdft")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        tensor = _map(path, dtype, start + entry["data_offsets"][0], tuple(entry["shape"]))
        if tensor.nbytes <= VERIFIED and hashlib.sha256(tensor.data).hexdigest() != sums[name]:
            raise UserError(f"{path}: {name} differs from its checksum")
        tensors[name] = tensor
    return tensors, metadata


def _map(path: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))
