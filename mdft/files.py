"""Write files completely or not at all, from one process at a time."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mdft.errors import UserError

LOCK = ".lock"
_MARK = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to, renamed to ``path`` at the end of the block.

    After an error inside the block the temporary file is removed and ``path`` is unchanged. After
    a SIGKILL the temporary file remains; the next :func:`only_writer` removes it.

    Args:
        path: the file to write; its suffix is kept, for writers that depend on it.

    Raises:
        OSError: the file cannot be written; the message names ``path``, also for a full disk.
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
def only_writer(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Lock a folder for this process, and remove the temporary files of killed processes.

    The lock is a file lock of the operating system on ``.lock`` in the folder; it is released when
    the process ends, however that happens.

    Args:
        folder: an existing folder.
        wait: wait until no other process has locked the folder; one line on stderr says so.

    Raises:
        UserError: another process has locked the folder, and ``wait`` is false.
        OSError: the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        held = lock.acquire(timeout=0)
    except Timeout as error:
        if not wait:
            raise UserError(
                f"{folder}: another process is writing to it; wait for it to end or name another "
                "folder"
            ) from error
        print(f"{folder}: another process is writing to it; waiting for it to end", file=sys.stderr)
        held = lock.acquire()
    with held:
        for left in folder.glob(f".*{_MARK}*"):
            left.unlink(missing_ok=True)
        yield


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, by way of a temporary file and a rename."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    r"""The content of a CSV file in UTF-8, its lines ended by ``\n``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
