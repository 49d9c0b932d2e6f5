"""Files whose libraries may crash on damaged input, read in a child process (`mdft.isolation`).

Faery 0.7.1 aborts its process on some damaged AEDAT 4 files, and the filters of HDF5 files of other
tools are C code that was not written for hostile input. Only the child is lost; it also has a limit
on its memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from events.files.columns import Found, build_events
from events.files.hdf5_layouts import read_layout
from mdft.errors import UserError, reason
from mdft.isolation import Answer, Child, serve

_MEMORY_BYTES = 16 << 30  # address space; a billion events of 13 bytes, once
_SECONDS = 900.0

Kind = Literal["aedat4", "hdf5"]


def read_isolated(path: Path, kind: Kind) -> Found:
    """Read a file in a child process: AEDAT 4, or HDF5 of another tool.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    with Child("events.files.isolated", _MEMORY_BYTES) as child:
        header, arrays = child.read(path, _SECONDS, kind=kind)
    size = header["size"]
    return arrays["events"], None if size is None else (int(size[0]), int(size[1]))


def _read_aedat4(path: Path) -> Found:
    """Read the first stream of events with Faery."""
    import faery  # the import takes most of a second

    try:
        stream = faery.events_stream_from_file(path, file_type="aedat")
        size = (int(stream.dimensions()[0]), int(stream.dimensions()[1]))
        read = stream.to_array()
    except Exception as error:  # Faery raises plain Exception, RuntimeError and OSError
        raise UserError(
            f"{path}: not an AEDAT 4 recording that can be read ({reason(error)}); it is damaged "
            "or cut short"
        ) from error
    return build_events(path, read["x"], read["y"], read["t"], read["on"]), size


def _read(path: str, kind: Kind) -> Answer:
    events, size = _read_aedat4(Path(path)) if kind == "aedat4" else read_layout(Path(path))
    return {"size": size}, {"events": events}


if __name__ == "__main__":
    serve(_read, int(sys.argv[1]))
