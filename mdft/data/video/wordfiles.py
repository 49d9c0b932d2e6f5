"""Files of word vectors: word2vec and GloVe text, word2vec binary, and dictionaries.

======== =========================================================================
.npz     arrays under the words' names; or ``words`` (n,) and ``vectors`` (n, W)
.npy     a pickled dict word → (W,), as AVCA publishes; no pickled code is executed
.bin     word2vec binary: a line ``n W``, then each word, a space, W float32
others   text: a word and W numbers per line; word2vec has a first line ``n W``
======== =========================================================================

Text and binary files are read to the end, but only the requested words are kept; they may be
compressed (gzip, bzip2, xz).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from mdft.data.files.unpickle import load_npy
from mdft.errors import UserError, require_file

#: Limits in bytes on a word and on a line of text.
_LONGEST_WORD, _LONGEST_LINE = 1000, 1 << 20
_MOST_WIDE = 100_000
#: Limit on the compression ratio of an archive, which refuses decompression bombs.
_MOST_GROWN = 100
#: First bytes of a compressed file, and the function that opens it.
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_COMPRESSED_ENDINGS = frozenset((".gz", ".bz2", ".xz"))
#: First bytes of files that are mistaken for word vectors, and what to do with each.
_OTHERS = {
    b"PK\x03\x04": "a zip archive; unpack it and give the file in it",
    b"7z\xbc\xaf": "a 7z archive; unpack it and give the file in it",
    b"\xba\x16\x4f\x2f": "a fastText model, expected its word vectors (.vec)",
    b"\x89HDF": "an HDF5 file, expected word2vec or GloVe as text or binary, .npz or .npy",
}


@dataclass(frozen=True)
class WordFile:
    """The vectors of the requested words.

    Attributes:
        vectors: word → (W,) float32, finite. Keys are the file's spelling and, unless that is a
            key already, its lower case.
        whole: whether the file is a dictionary, whose keys may be whole names.
        blank: number of lines that were skipped because their word is white space.
    """

    vectors: Mapping[str, np.ndarray]
    whole: bool
    blank: int = 0


def read_word_file(path: Path, wanted: Set[str]) -> WordFile:
    """Read the vectors of some words.

    Args:
        path: path of the file; the suffix gives the format.
        wanted: the words and whole names to find, regardless of case.

    Raises:
        UserError: the file is missing or malformed, or a vector is not as wide as the others or
            not finite.
        OSError: the file cannot be read.
    """
    require_file(path, "a file of word vectors")
    ending = _ending(path)
    blank: list[int] = []
    if ending in (".npz", ".npy"):
        found: Iterator[tuple[str, np.ndarray]] = iter(_dictionary(path, ending))
    else:
        spellings = {w for word in wanted for w in (word, word.casefold())}
        found = _streamed(path, ending, spellings, blank)
    exact: dict[str, np.ndarray] = {}
    alike: dict[str, np.ndarray] = {}
    width = 0
    for word, vector in found:
        width = width or len(vector)
        if len(vector) != width:
            raise UserError(
                f"{path}: the vector of {word!r} has {len(vector)} numbers, not {width}"
            )
        if not np.isfinite(vector).all():
            raise UserError(f"{path}: the vector of {word!r} is not finite")
        exact.setdefault(word, vector)
        alike.setdefault(word.casefold(), vector)
    return WordFile(alike | exact, ending in (".npz", ".npy"), len(blank))


def _ending(path: Path) -> str:
    """The ending that gives the format, without that of a compression."""
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in _COMPRESSED_ENDINGS:
        endings.pop()
    return endings[-1] if endings else ""


def _streamed(
    path: Path, ending: str, wanted: Set[str], blank: list[int]
) -> Iterator[tuple[str, np.ndarray]]:
    """Read a text or binary file, compressed or not."""
    with path.open("rb") as file:
        first = file.read(8)
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise UserError(f"{path}: is {what}")
    openers = [opener for magic, opener in _COMPRESSED.items() if first.startswith(magic)]
    try:
        with openers[0](path, "rb") if openers else path.open("rb") as opened:
            file = cast(BinaryIO, opened)
            if ending == ".bin":
                yield from _binary(path, file, wanted)
            else:
                yield from _text(path, file, wanted, blank)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: the compressed file is damaged or cut short ({error})") from error


def _dictionary(path: Path, ending: str) -> list[tuple[str, np.ndarray]]:
    entries: Mapping[str, object]
    if ending == ".npy":
        entries = load_npy(path)
        if not isinstance(entries, dict):
            raise UserError(f"{path}: holds {type(entries).__name__}, expected a dict of vectors")
    else:
        entries = _archive(path)
        words, vectors = entries.get("words"), entries.get("vectors")
        if isinstance(words, np.ndarray) and isinstance(vectors, np.ndarray) and len(entries) == 2:
            if words.ndim != 1 or vectors.ndim != 2 or len(words) != len(vectors):
                raise UserError(
                    f"{path}: words are {words.shape} and vectors {vectors.shape}, "
                    "expected (n,) and (n, W)"
                )
            entries = dict(zip(map(str, words.tolist()), vectors, strict=True))
    return [(str(word), _checked(path, word, vector)) for word, vector in entries.items()]


def _archive(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_GROWN * path.stat().st_size:
            raise UserError(f"{path}: unpacks to {size} bytes, far more than the size of the file")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, UserError):
        raise
    except Exception as error:  # NumPy parses headers with Python's tokeniser, which raises others
        message = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not an .npz file of arrays ({message})") from error


def _checked(path: Path, word: object, vector: object) -> np.ndarray:
    array = vector if isinstance(vector, np.ndarray) else np.zeros(0)
    if array.dtype.kind in "fiu" and array.ndim == 1 and array.size > 0:
        return _single(array)
    found = getattr(vector, "shape", type(vector).__name__)
    raise UserError(f"{path}: {word!r} is {found}, expected a vector of numbers")


def _single(vector: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # beyond float32: becomes infinite, which is refused later
        return vector.astype(np.float32)


def _text(
    path: Path, file: IO[bytes], wanted: Set[str], blank: list[int]
) -> Iterator[tuple[str, np.ndarray]]:
    """A word may contain spaces, as in GloVe, so the numbers are counted from the line's end.

    A word that is itself white space, as in word2vec's text, is skipped; `blank` gets its line.
    """
    width, number = 0, 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        fields = line.split()
        header = number == 1 and len(fields) == 2 and all(f.isdigit() for f in fields)
        if header or not fields:
            width = int(fields[1]) if header else width
            continue
        if line[:1].isspace():
            width = width or len(fields)
            blank.append(number)
            continue
        width = width or len(fields) - 1
        if not 1 <= width <= _MOST_WIDE or len(fields) <= width:
            raise UserError(
                f"{path}: line {number} has {len(fields)} fields, expected a word and "
                f"{max(width, 1)} numbers"
            )
        word = b" ".join(fields[:-width]).decode("utf-8", "replace")
        if word in wanted or word.casefold() in wanted:
            try:
                yield word, _single(np.array(fields[-width:], dtype=np.float64))
            except ValueError as error:
                raise UserError(f"{path}: line {number} is not a vector ({error})") from error
    if number == 0:
        raise UserError(f"{path}: the file is empty, expected word vectors")


def _binary(path: Path, file: BinaryIO, wanted: Set[str]) -> Iterator[tuple[str, np.ndarray]]:
    header = file.readline(100).split()
    if len(header) != 2 or not all(field.isdigit() for field in header):
        raise UserError(f"{path}: not a word2vec binary file, expected a first line 'n W'")
    count, width = map(int, header)
    if not 1 <= width <= _MOST_WIDE:
        raise UserError(f"{path}: vectors {width} wide, expected 1 to {_MOST_WIDE}")
    for i in range(count):
        word = _word(path, file, i)
        data = file.read(4 * width)
        if len(data) < 4 * width:
            raise UserError(f"{path}: ends at word {i} of {count}; the file is truncated")
        if word in wanted or word.casefold() in wanted:
            yield word, np.frombuffer(data, "<f4").copy()


def _word(path: Path, file: BinaryIO, index: int) -> str:
    """Read up to the space that ends a word."""
    letters = bytearray()
    while (letter := file.read(1)) != b" ":
        if not letter or len(letters) > _LONGEST_WORD:
            raise UserError(
                f"{path}: found no word number {index}; the file is truncated, or not word2vec "
                "binary"
            )
        letters += letter
    return letters.lstrip(b"\n").decode("utf-8", "replace")
