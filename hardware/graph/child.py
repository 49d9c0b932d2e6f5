"""The child process of `hardware.graph.file`: parses a .nir file."""

from __future__ import annotations

import sys
from pathlib import Path

from hardware.graph.shapes import plain_shapes
from hardware.graph.structure import read_structure
from mdft.errors import UserError, reason
from mdft.isolation import Answer, serve


def read(path: str) -> Answer:
    """Return the arrays of a .nir file as a flat graph of plain shapes, and {"notes": [...]}.

    Raises:
        UserError: the file is refused; the message names it and the reason.
        MemoryError: the file needs more memory than this process may use.
    """
    try:
        flat, notes = plain_shapes(read_structure(Path(path)))
        return {"notes": notes}, flat.arrays()
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # h5py raises many types of exception for broken files
        raise UserError(f"{path}: not a readable .nir file ({reason(error)})") from error


if __name__ == "__main__":
    serve(read, int(sys.argv[1]))
