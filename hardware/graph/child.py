"""The child process of `hardware.graph.file`: parses a .nir file."""

from __future__ import annotations

import sys
from pathlib import Path

from hardware.graph.structure import read_structure
from mdft.errors import UserError, reason
from mdft.isolation import Answer, serve


def read(path: str) -> Answer:
    """The arrays of a .nir file.

    Raises:
        UserError: names the file, and says why it is refused.
        MemoryError: it needs more than this process may have.
    """
    try:
        return {}, read_structure(Path(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # h5py raises whatever a broken file provokes
        raise UserError(f"{path}: not a readable .nir file ({reason(error)})") from error


if __name__ == "__main__":
    serve(read, int(sys.argv[1]))
