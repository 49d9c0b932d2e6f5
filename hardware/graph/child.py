"""The child of `hardware.graph.file`: parses one file under limits, then ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np

from hardware.graph.structure import read_structure
from mdft.errors import UserError

MEMORY = 2 << 30  # bytes of address space


def main(path: Path, out: Path, seconds: float) -> None:
    """Write the arrays of a .nir file to out (.npz), or one line of refusal to stdout.

    After `seconds` of processor time from here the process is ended by SIGPROF: HDF5 hangs
    where no Python handler would be called.
    """
    _limit(seconds)
    try:
        np.savez(out, **read_structure(path))  # type: ignore[arg-type]
    except UserError as error:
        print(error)
    except MemoryError:
        print(f"needs more than {MEMORY >> 30} GiB of memory")
    except Exception as error:  # h5py raises whatever a broken file provokes
        print(f"not a readable .nir file ({str(error) or type(error).__name__})")


def _limit(seconds: float) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit remains
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
