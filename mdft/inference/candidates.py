"""The classes that a clip may be: those of the run, or a user's own names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdft.data.dataset import LETTERS
from mdft.data.files.splits import match
from mdft.data.video.names import name_vectors, words_of
from mdft.errors import UserError, closest
from mdft.runs.preprocessing import Preprocessing


@dataclass(frozen=True)
class Candidates:
    """Classes to choose from.

    Attributes:
        names: of C classes.
        words_CW: (C, W) float32, their word vectors.
        seen_C: (C,) bool, whether the run was trained on clips of them.
        notes: what a user must know, line by line.
    """

    names: Sequence[str]
    words_CW: np.ndarray
    seen_C: np.ndarray
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Guess:
    """A class, and how near a clip is to it.

    Attributes:
        name: of the class.
        distance: Euclidean, in the joint space.
        calibrated: what ranks it: plus the run's β if the class is seen.
        seen: whether the run was trained on clips of it.
    """

    name: str
    distance: float
    calibrated: float
    seen: bool


def candidates(
    context: Preprocessing, names: Sequence[str] | None = None, vectors: Path | None = None
) -> Candidates:
    """Word vectors of classes.

    A name that the run knows, by its spelling or else by its words, keeps the run's vector. Others
    get one of ``vectors``; or of their letters, if the run's are made so.

    Args:
        context: of the run.
        names: of the classes; None: those of the run's test.
        vectors: file of word vectors, the one that the run's vectors are from.

    Raises:
        UserError: a name without a vector, two names of one class, or vectors that are not like
            the run's.
    """
    if names is None:
        if vectors is not None:
            raise UserError(f"--vectors {vectors}: for classes of --classes, which names none")
        chosen = np.flatnonzero(context.tested_C)
        known = [context.classes[int(c)] for c in chosen]
        return Candidates(known, context.words_CW[chosen], context.seen_C[chosen])
    found = _known(names, context.classes)
    new = [name for name, c in zip(names, found, strict=True) if c is None]
    _check_source(context, new, vectors)
    new_CW, notes = name_vectors(new, vectors) if new else (context.words_CW[:0], [])
    if new_CW.shape[1] != context.words_CW.shape[1]:
        raise UserError(
            f"{vectors}: vectors {new_CW.shape[1]} wide, the run was trained with "
            f"{context.words_CW.shape[1]}"
        )
    if new and vectors is not None and vectors.name != context.words:
        notes = [*notes, f"note: the run was trained with the vectors of {context.words}"]
    rows = iter(new_CW)
    words = [next(rows) if c is None else context.words_CW[c] for c in found]
    seen = [c is not None and bool(context.seen_C[c]) for c in found]
    return Candidates(list(names), np.stack(words), np.array(seen), notes)


def _known(names: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """The id of each name's class in the run; None if it is of none."""
    if not names or isinstance(names, str):
        raise UserError(f"classes: found {names!r}, expected a list of at least one name")
    words = [words_of(name) for name in classes]
    found: list[int | None] = []
    before: dict[object, str] = {}
    for name in names:
        c, own = match(name, classes), words_of(name)
        if c is None and own and words.count(own) == 1:  # ice_skating is Ice skating
            c = words.index(own)
        other = before.setdefault(name.casefold() if c is None else c, name)
        if len(before) == len(found):
            same = "there twice" if other == name else f"the same class as {other!r}"
            raise UserError(f"classes: {name!r} is {same}")
        found.append(c)
    return found


def _check_source(context: Preprocessing, new: Sequence[str], vectors: Path | None) -> None:
    """Refuse new names whose vectors would be of another kind than the run's."""
    if new and vectors is None and context.words != LETTERS:
        raise UserError(
            f"class {new[0]!r} is unknown to the run{closest(new[0], context.classes)}; for new "
            f"classes name the file of word vectors that it was trained with (--vectors; "
            f"{context.words_CW.shape[1]} wide, from {context.words})"
        )
    if new and vectors is not None and context.words == LETTERS:
        raise UserError(
            f"--vectors {vectors}: the run's vectors are made of the letters of names, and those "
            "of a file do not go with them; leave it out, or train with --data.vectors"
        )


def ranked(choice: Candidates, distances_C: np.ndarray, beta: float) -> list[Guess]:
    """All candidates, nearest first: ``d_c + β·1[c seen]``, the first of equals first.

    Args:
        choice: the candidates.
        distances_C: (C,) float64.
        beta: of the run.
    """
    calibrated_C = distances_C + beta * choice.seen_C
    columns = (distances_C.tolist(), calibrated_C.tolist(), choice.seen_C.tolist())
    guesses = [Guess(*row) for row in zip(choice.names, *columns, strict=True)]
    return sorted(guesses, key=lambda guess: guess.calibrated)
