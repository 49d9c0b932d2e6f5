"""Vectors of class names: from a file of word vectors, or from the letters alone."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mdft.data.files.splits import nfc
from mdft.data.video.wordfiles import WordFile, read_word_file
from mdft.errors import UserError, closest

HASHED_NOTE = (
    "word vectors: computed from the letters of the class names, which carry spelling but no "
    "meaning, so expect low accuracy on unseen classes; better: a file of word vectors (word2vec, "
    "GloVe)"
)
WIDTH = 300
_SHORTEST, _LONGEST = 3, 6
_NAMED = 5
#: Word boundaries of ApplyEyeMakeup and HTTPServer: lower case then upper case, and before the
#: last upper-case letter of a run that lower case follows.
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])")


def words_of(name: str) -> list[str]:
    """The words of a class name in lower case: ``ApplyEye_makeup-2`` has four.

    >>> words_of("ApplyEye_makeup-2")
    ['apply', 'eye', 'makeup', '2']
    """
    apart = _CAMEL.sub(" ", nfc(name))
    # Keep combining marks with their letter: the vowels of Hindi and Thai are marks.
    letters = (c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in apart)
    return "".join(letters).casefold().split()


def hashed_vector(name: str) -> np.ndarray:
    """(300,) float32 of unit norm that encodes a name's spelling, not its meaning.

    Composed as in fastText: the mean over the words of the mean of the vectors of ``<word>`` and
    of its letter n-grams, n = 3 to 6. The vector of an n-gram is not trained but random: N(0, 1)
    from a generator seeded by the n-gram's SHA-256. Names that share words or stems are close.

    Raises:
        UserError: the name has no letter or digit.
    """
    words = words_of(name)
    if not words:
        raise UserError(f"class {name!r}: has no letter or digit, expected words")
    vector = np.mean([np.mean([_drawn(g) for g in _grams(w)], axis=0) for w in words], axis=0)
    return _unit(np.asarray(vector))


def _unit(vector: np.ndarray) -> np.ndarray:
    norm = max(float(np.linalg.norm(vector)), 1e-12)
    return np.asarray(vector / norm, dtype=np.float32)


def _grams(word: str) -> list[str]:
    whole = f"<{word}>"
    parts = {
        whole[i : i + n] for n in range(_SHORTEST, _LONGEST + 1) for i in range(len(whole) - n + 1)
    }
    return sorted(parts | {whole})


def _drawn(gram: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(gram.encode()).digest(), "little")
    return np.random.default_rng(seed).standard_normal(WIDTH)


def name_vectors(names: Sequence[str], path: Path | None) -> tuple[np.ndarray, list[str]]:
    """The word vector of every class name.

    If a dictionary (.npz, .npy) contains the whole name, that vector is used unchanged. Otherwise
    the vectors of the name's words are averaged and the mean is scaled to unit norm; words that
    the file lacks are left out and listed in the notes.

    Args:
        names: class names.
        path: file of word vectors (:mod:`mdft.data.video.wordfiles`); None: :func:`hashed_vector`.

    Returns:
        (C, W) float32, and notes for the user, one line each.

    Raises:
        UserError: the file has no word of a name, or cannot be read.
    """
    if path is None:
        return np.stack([hashed_vector(name) for name in names]), [HASHED_NOTE]
    vectors, _, notes = vectors_of_file(path, names)
    return vectors, notes


def vectors_of_file(
    path: Path, names: Sequence[str], others: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Vectors from a file of word vectors, as :func:`name_vectors` describes.

    Args:
        path: the file.
        names: class names, of which each needs a vector.
        others: other names; those without a vector are counted in a note.

    Returns:
        (C, W) and (J, W) float32, the latter with rows of NaN for names without a vector, and
        notes for the user.

    Raises:
        UserError: the file has no word of a class name, or cannot be read.
    """
    wanted = {w for n in (*names, *others) for w in (n, " ".join(words_of(n)), *words_of(n))}
    file = read_word_file(path, wanted)
    unknown: dict[str, list[str]] = {}
    vectors = []
    for name in names:
        found = _from_file(name, file, unknown)
        if found is None:
            raise UserError(
                f"{path}: no vector for class {name!r} or any word of it"
                f"{closest(name, list(file.vectors))}"
            )
        vectors.append(found)
    notes = [f"word vectors: {path.name}, {len(vectors[0])} wide"]
    if file.blank:
        notes.append(f"note: {path.name}: lines whose word is white space, skipped: {file.blank}")
    if unknown:
        listed = "; ".join(f"{', '.join(words)} in {name!r}" for name, words in unknown.items())
        notes.append(f"note: words without a vector, left out: {listed}")
    rows = [_from_file(name, file, {}) for name in others]
    missing = [name for name, row in zip(others, rows, strict=True) if row is None]
    if missing:
        first = ", ".join(missing[:_NAMED])
        notes.append(
            f"note: {len(missing)} of {len(others)} names of concepts have no vector and are left "
            f"out: {first}{', …' * (len(missing) > _NAMED)}"
        )
    blank = np.full(len(vectors[0]), np.nan, dtype=np.float32)
    known = [blank if row is None else row for row in rows]
    return np.stack(vectors), np.array(known).reshape(len(known), len(blank)), notes


def _from_file(name: str, file: WordFile, unknown: dict[str, list[str]]) -> np.ndarray | None:
    if file.whole:
        for key in (name, " ".join(words_of(name))):
            if key in file.vectors:
                return file.vectors[key]
    words = words_of(name)
    known = [file.vectors[w] for w in words if w in file.vectors]
    if not known:
        return None
    if len(known) < len(words):
        unknown[name] = [w for w in words if w not in file.vectors]
    return _unit(np.stack(known).astype(np.float64).mean(axis=0))
