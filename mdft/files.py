"""Files that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mdft.errors import UserError

LOCK = ".lock"
_MARK = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it takes the place of ``path`` at the end.

    After an error inside the block nothing is left behind and ``path`` is as it was. After a
    SIGKILL the temporary file is left, which :func:`only_writer` removes the next time.

    Args:
        path: the file to write; its ending is kept, for writers that look at it.

    Raises:
        OSError: naming ``path``, where the system's own error does not (disk full).
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{_MARK}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; remove what a killed one left half-written.

    The lock is the system's, on ``.lock`` in the folder: it goes with the process that holds it,
    however that ends.

    Args:
        folder: exists.

    Raises:
        UserError: another process holds it.
        OSError: the folder cannot be written.
    """
    try:
        lock = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{folder}: another process is writing to it; wait for it to end or name another folder"
        ) from error
    with lock:
        for left in folder.glob(f".*{_MARK}*"):
            left.unlink(missing_ok=True)
        yield


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then rename."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
