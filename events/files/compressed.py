"""Unpack files that were compressed as a whole: ``.gz``, ``.bz2`` and ``.xz``."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from events.files.columns import check_expansion
from mdft.errors import UserError, reason

_OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_PIECE = 1 << 20


def split_ending(path: Path) -> tuple[str, str]:
    """Return the ending of a file's format and that of its compression: '.bin', '.gz' or ''."""
    outer = path.suffix.lower()
    return (Path(path.stem).suffix.lower(), outer) if outer in _OPEN else (outer, "")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack a compressed file into a temporary one, which is removed at the end.

    Errors that are raised inside name the compressed file instead.

    Raises:
        UserError: the file is damaged, cut short, or expands to more than any recording does.
    """
    ending, compression = split_ending(path)
    held = path.stat().st_size
    with tempfile.NamedTemporaryFile(suffix=ending) as target:
        written = 0
        try:
            with _OPEN[compression](path, "rb") as source:
                while piece := source.read(_PIECE):
                    written += len(piece)
                    check_expansion(path, written, held)
                    target.write(piece)
            target.flush()
        except EOFError as error:
            raise UserError(f"{path}: cut short: its {compression} data have no end") from error
        except (OSError, zlib.error, lzma.LZMAError) as error:
            raise UserError(f"{path}: cannot be unpacked ({reason(error)})") from error
        try:
            yield Path(target.name)
        except UserError as error:
            raise UserError(str(error).replace(target.name, str(path))) from error
