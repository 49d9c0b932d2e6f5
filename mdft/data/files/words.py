"""Class word vectors, joined to the classes by name, or misaligned as in published loaders."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mdft.data.files.splits import nfc
from mdft.data.files.unpickle import load_npy
from mdft.errors import UserError, closest


def read_words(
    vectors: Sequence[Path], names_csv: Path, classes: Sequence[str], alignment: str
) -> tuple[np.ndarray, list[str]]:
    """The word vector of every class, and notes on their alignment.

    ``name``: class → its manual name in the csv → the vector of that name. ``legacy``: vectors are
    sorted by *manual* name, and a class takes the one at the rank of its *original* name; the two
    orders differ, so many classes receive the vector of another class.

    Args:
        vectors: ``word_embeddings_*_normed.npy``, a pickled dict of manual name → (W,). The vectors
            of several files are concatenated, as ClipClap does with CLIP's and WavCaps'.
        names_csv: ``*_w2v_class_names.csv`` with columns ``original`` and ``manual``.
        classes: sorted class names.
        alignment: ``name`` or ``legacy``.

    Returns:
        (C, W) float32, and the notes, one line each.

    Raises:
        UserError: a class has no manual name, no vector, or an invalid one, or two classes have
            the same; the message names file and class.
    """
    manual = read_names(names_csv, classes)
    parts = [_aligned(path, manual, names_csv, classes, alignment) for path in vectors]
    words_CW = np.concatenate([part for part, _ in parts], axis=1)
    check_distinct(str(names_csv), classes, words_CW)
    notes = [parts[0][1]]
    if len(parts) > 1:
        pairs = zip(vectors, parts, strict=True)
        widths = " + ".join(f"{part.shape[1]} of {path.name}" for path, (part, _) in pairs)
        notes.append(f"word vectors: concatenated, {widths}")
    return words_CW, notes


def check_distinct(where: str, classes: Sequence[str], words_CW: np.ndarray) -> None:
    """Refuse classes that no model could tell apart, such as Archery and archery.

    Args:
        where: the file or folder that the classes are from.
        classes: the C class names.
        words_CW: (C, W), their word vectors.

    Raises:
        UserError: two classes have the same word vector.
    """
    first: dict[bytes, str] = {}
    for name, words_W in zip(classes, words_CW, strict=True):
        other = first.setdefault(words_W.tobytes(), name)
        if other != name:
            raise UserError(
                f"{where}: the classes {other!r} and {name!r} have the same word vector; join "
                "them, or rename one"
            )


def _aligned(
    vectors: Path,
    manual: Mapping[str, str],
    names_csv: Path,
    classes: Sequence[str],
    alignment: str,
) -> tuple[np.ndarray, str]:
    """The vectors of one file, (C, W), and a note."""
    known = _read_vectors(vectors)
    for name, other in manual.items():
        if nfc(other) not in known:
            raise UserError(
                f"{vectors}: no vector for {other!r} (class {name!r} in {names_csv.name})"
                f"{closest(other, list(known))}"
            )
        if not known[nfc(other)].any():
            raise UserError(
                f"{vectors}: the vector of {other!r} (class {name!r} in {names_csv.name}) is all "
                "zeros, expected a vector that tells the class from others; replace it"
            )
    by_name = np.stack([known[nfc(manual[name])] for name in classes])
    in_order = np.stack([known[key] for key in sorted(known)])
    if len(in_order) != len(classes):
        if alignment == "legacy":
            raise UserError(
                f"{vectors}: {len(in_order)} vectors for {len(classes)} classes; "
                "the legacy alignment needs one per class"
            )
        return by_name, f"word vectors: joined by name, {len(classes)} classes"
    differ = int((by_name != in_order).any(axis=1).sum())
    share = f"{differ} of {len(classes)} classes"
    if alignment == "legacy":
        return in_order, f"word vectors: legacy alignment, {share} have another class's vector"
    return by_name, f"word vectors: joined by name; legacy would misplace {share}"


def read_names(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """Original name → manual name of every class, from ``*_w2v_class_names.csv``.

    Raises:
        UserError: a column or a class is missing, or a class has two names.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a csv file in UTF-8 ({error})") from error
    if not rows or not {"original", "manual"} <= set(rows[0]):
        columns = ", ".join(map(str, rows[0])) if rows else "no row"
        raise UserError(f"{path}: found {columns}, expected columns original and manual")
    found: dict[str, str] = {}
    for row in rows:
        original, manual = ((row[key] or "").strip() for key in ("original", "manual"))
        if not original and not manual:
            continue
        if found.setdefault(original, manual) != manual:
            raise UserError(f"{path}: {original!r} has two names, {found[original]!r}, {manual!r}")
    alike = {nfc(name).casefold(): name for name in found}
    joined = {
        name: found.get(name) or found.get(alike.get(nfc(name).casefold(), "")) for name in classes
    }
    for name, manual in joined.items():
        if not manual:
            raise UserError(f"{path}: no row for class {name!r}{closest(name, list(found))}")
    return {name: str(manual) for name, manual in joined.items()}


def _read_vectors(path: Path) -> Mapping[str, np.ndarray]:
    found = load_npy(path)
    if not isinstance(found, dict) or not found:
        raise UserError(f"{path}: holds {type(found).__name__}, expected a dict of name → vector")
    shape, vectors = None, {}
    for name, vector in found.items():
        good = isinstance(name, str) and isinstance(vector, np.ndarray)
        if not good or vector.dtype.kind != "f" or vector.ndim != 1 or not vector.size:
            raise UserError(f"{path}: the vector of {name!r} is not an array of floats")
        shape = shape or vector.shape
        if vector.shape != shape:
            raise UserError(f"{path}: the vector of {name!r} is {vector.shape}, expected {shape}")
        with np.errstate(over="ignore"):  # beyond float32: becomes infinite, refused below
            vectors[nfc(name)] = vector.astype(np.float32)
        if not np.isfinite(vectors[nfc(name)]).all():
            raise UserError(f"{path}: the vector of {name!r} is not finite")
    return vectors
