"""What a file is, by its first bytes: so that a message can name it and say what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what it is, with its article.
        endings: the endings that `events.files.io.read_events` reads it with, or none.
        advice: what to do with it.
    """

    name: str
    endings: tuple[str, ...]
    advice: str


_PACKED = "unpack it first"
_CONVERT = "python -m events.convert reads it if its name ends in "
_OTHER = "convert it to .h5, .npz or .csv with the tool that wrote it"
_HDF5 = (".h5", ".hdf5")
#: Offset and bytes → kind; the longer bytes come first.
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", _HDF5, f"{_CONVERT}.h5")),
    (0, b"#!AER-DAT4", Kind("an AEDAT 4 recording", (".aedat4", ".aedat"), f"{_CONVERT}.aedat4")),
    (0, b"#!AER-DAT", Kind("an AEDAT recording", (".aedat4", ".aedat"), f"{_CONVERT}.aedat")),
    (0, b"#ROSBAG V", Kind("a ROS bag", (), _OTHER)),
    (0, b"SQLite format 3", Kind("an SQLite file (a ROS 2 bag?)", (), _OTHER)),
    (0, b"Event Stream", Kind("an Event Stream recording (.es)", (), _OTHER)),
    (0, b"MATLAB 5.0 MAT-file", Kind("a MATLAB file", (), _OTHER)),
    (0, b"\x93NUMPY", Kind("a NumPy array", (), _OTHER)),
    (257, b"ustar", Kind("a tar archive", (), _PACKED)),
    (0, b"\xfd7zXZ\x00", Kind("a file compressed with xz", (".xz",), _PACKED)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", (), _PACKED)),
    (0, b"Rar!\x1a\x07", Kind("a rar archive", (), _PACKED)),
    (0, b"\x28\xb5\x2f\xfd", Kind("a file compressed with zstd", (), _PACKED)),
    (0, b"PK\x03\x04", Kind("a zip archive", (".npz",), _PACKED)),
    (0, b"\x1f\x8b\x08", Kind("a file compressed with gzip", (".gz",), _PACKED)),
    (0, b"BZh", Kind("a file compressed with bzip2", (".bz2",), _PACKED)),
)
_EVT = Kind("a Prophesee EVT recording", (".raw",), f"{_CONVERT}.raw")
_DAT = Kind("a Prophesee DAT recording", (".dat",), f"{_CONVERT}.dat")
_LEAST = 4  # fewer bytes could be the first event of a format without a header


def kind_of(path: Path, *, sure: bool = False) -> Kind | None:
    """Return what a file is, or None if its first bytes are none of those known here.

    Args:
        path: the file.
        sure: only what at least four bytes tell.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset) and (len(magic) >= _LEAST or not sure):
            return kind
    header = re.match(rb"(% [^\n]*\n)+", head)
    if header and re.search(rb"(?i)^% *(evt |format +evt)", header[0], re.M):
        return _EVT
    return _DAT if header and head[header.end() :][:2] in (b"\0\x08", b"\x0c\x08") else None
