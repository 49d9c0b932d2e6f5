"""Candidate classes of a prediction: those of the run, or names that the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdft.config.features import ZERO_SHOT
from mdft.data.dataset import LETTERS
from mdft.data.files.splits import match
from mdft.data.video.backbone import Backbone
from mdft.data.video.backbones import make_backbone
from mdft.data.video.class_words import class_vectors, words_name
from mdft.data.video.names import name_vectors, words_of
from mdft.errors import UserError, closest
from mdft.runs.preprocessing import Preprocessing


@dataclass(frozen=True)
class Candidates:
    """Classes to choose from.

    Attributes:
        names: names of the C classes.
        words_CW: (C, W) float32, their word vectors.
        seen_C: (C,) bool, True for classes that the run was trained on.
        notes: notes for the user, one line each.
    """

    names: Sequence[str]
    words_CW: np.ndarray
    seen_C: np.ndarray
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Guess:
    """A candidate class and its distance from a clip.

    Attributes:
        name: name of the class.
        distance: Euclidean distance in the space where clips and classes are compared.
        calibrated: the distance plus, for a seen class, the run's β; candidates are sorted by it.
        seen: whether the run was trained on clips of the class.
    """

    name: str
    distance: float
    calibrated: float
    seen: bool


def candidates(
    context: Preprocessing, names: Sequence[str] | None = None, vectors: Path | None = None
) -> Candidates:
    """Candidate classes with their word vectors.

    A name that equals a class of the run, or has the same words, gets that class's vector. Other
    names get their vector from ``vectors``, or from their letters if the run's vectors are computed
    from letters.

    Args:
        context: the preprocessing of the run.
        names: class names; None: the test classes of the run.
        vectors: the file of word vectors that the run was trained with.

    Raises:
        UserError: a name has no vector, two names mean one class, or the vectors do not fit those
            of the run.
    """
    if names is None:
        if vectors is not None:
            raise UserError(
                f"--vectors {vectors}: has no effect without --classes; add it or leave both out"
            )
        chosen = np.flatnonzero(context.tested_C)
        known = [context.classes[int(c)] for c in chosen]
        return Candidates(known, context.words_CW[chosen], context.seen_C[chosen])
    found = _known(names, context.classes)
    new = [name for name, c in zip(names, found, strict=True) if c is None]
    backbone = _with_words(context) if new and vectors is None else None
    if backbone is None:
        _check_source(context, new, vectors)
    if not new:
        new_CW, notes = context.words_CW[:0], []
    elif backbone is None:
        new_CW, notes = name_vectors(new, vectors)
    else:
        new_CW, notes = class_vectors(new, None, backbone)
    if new_CW.shape[1] != context.words_CW.shape[1]:
        raise UserError(
            f"{vectors}: vectors have width {new_CW.shape[1]}, the run was trained with "
            f"{context.words_CW.shape[1]}"
        )
    if new and vectors is not None and vectors.name != context.words:
        notes = [*notes, f"note: the run was trained with the vectors of {context.words}"]
    rows = iter(new_CW)
    words = [next(rows) if c is None else context.words_CW[c] for c in found]
    seen = [c is not None and bool(context.seen_C[c]) for c in found]
    return Candidates(list(names), np.stack(words), np.array(seen), notes)


def _known(names: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """The class index in the run of each name; None for a class that the run does not have."""
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
            same = "given twice" if other == name else f"the same class as {other!r}"
            raise UserError(f"classes: {name!r} is {same}")
        found.append(c)
    return found


def _with_words(context: Preprocessing) -> Backbone | None:
    """The run's backbone, if its text encoder gave the run's word vectors."""
    if context.extract is None or context.extract.get("backbone") not in ZERO_SHOT:
        return None
    backbone = make_backbone(context.features(None, None))
    return backbone if words_name(None, backbone) == context.words else None


def _check_source(context: Preprocessing, new: Sequence[str], vectors: Path | None) -> None:
    """Raise a UserError if the vectors of new names would be of another kind than the run's."""
    if new and vectors is None and context.words != LETTERS:
        raise UserError(
            f"class {new[0]!r} is unknown to the run{closest(new[0], context.classes)}; for new "
            f"classes name the file of word vectors that it was trained with (--vectors; "
            f"{context.words_CW.shape[1]} wide, from {context.words})"
        )
    if new and vectors is not None and context.words == LETTERS:
        raise UserError(
            f"--vectors {vectors}: the run's vectors are computed from the letters of class names, "
            "and vectors of a file do not fit them; leave it out, or train with --data.vectors"
        )


def ranked(choice: Candidates, distances_C: np.ndarray, beta: float) -> list[Guess]:
    """All candidates, sorted by ``d_c + β·1[c seen]``; equal ones keep their order.

    Args:
        choice: the candidates.
        distances_C: (C,) float64, distances of a clip.
        beta: β of the run.
    """
    calibrated_C = distances_C + beta * choice.seen_C
    columns = (distances_C.tolist(), calibrated_C.tolist(), choice.seen_C.tolist())
    guesses = [Guess(*row) for row in zip(choice.names, *columns, strict=True)]
    return sorted(guesses, key=lambda guess: guess.calibrated)
