"""Read ``class-split/``: the classes, and the part of the protocol that each belongs to."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdft.errors import UserError, closest

#: Split of the protocol → name of its files and folders on disk. stage_2_train is the union of the
#: first three and has no files.
PARTS = {
    "stage_1_train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}


@dataclass(frozen=True)
class Splits:
    """The classes of a benchmark.

    Attributes:
        classes: all class names, sorted; the id of a class is its index.
        parts: key of ``PARTS`` → sorted class ids.
        files: the files that were read.
    """

    classes: Sequence[str]
    parts: Mapping[str, Sequence[int]]
    files: Sequence[Path]


def read_splits(root: Path, split: str) -> Splits:
    """Read the classes and parts of one split.

    Only the .txt lists are read. The .csv lists beside them still name, in ``cls_split``, classes
    that the .txt lists dropped, and are not published for VGGSound's training clips.

    Args:
        root: folder of the benchmark.
        split: ``main_split`` or ``cls_split``.

    Raises:
        UserError: a list is missing, empty or names an unknown class; seen and unseen classes
            overlap; or a seen class has no training clips.
    """
    folder = root / "class-split"
    if not folder.is_dir():
        raise UserError(f"--data.root {root}: contains no class-split/, see docs/data.md")
    everything = folder / "all_class.txt"
    classes = sorted(read_lines(everything))
    paths = {part: folder / split / f"{stem}.txt" for part, stem in PARTS.items()}
    parts = {part: _ids(path, classes) for part, path in paths.items()}
    named = {part: [classes[i] for i in ids] for part, ids in parts.items()}
    check_protocol(named, {part: str(path) for part, path in paths.items()})
    return Splits(classes, parts, [everything, *paths.values()])


def read_lines(path: Path) -> list[str]:
    """Read a list of names, one per line; blank lines and a byte-order mark are skipped.

    Raises:
        UserError: the list is missing, empty or not UTF-8, or has a duplicate or an unprintable
            character.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such list of classes, expected one name per line")
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}, byte {error.start})") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"{path}: contains no class, expected one name per line")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{path}: {name!r} is listed twice")
        if not name.isprintable():
            raise UserError(f"{path}: {name!r} is not printable, expected one name per line")
        seen.add(name)
    return names


def match(name: str, classes: Sequence[str]) -> int | None:
    """The id of a class by its exact name or, if there is none, ignoring case.

    ``UCF`` has HandstandPushups in ``all_class.txt`` and HandStandPushups in its splits. Names are
    compared in Unicode's NFC form, because file names from macOS are decomposed.
    """
    if name in classes:
        return classes.index(name)
    alike = [i for i, other in enumerate(classes) if _folded(other) == _folded(name)]
    return alike[0] if len(alike) == 1 else None


def nfc(name: str) -> str:
    """A name in Unicode's NFC form, in which names are compared: macOS decomposes file names."""
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return nfc(name).casefold()


def _ids(path: Path, classes: Sequence[str]) -> list[int]:
    ids = []
    for name in read_lines(path):
        found = match(name, classes)
        if found is None:
            raise UserError(
                f"{path}: class {name!r} is not in all_class.txt{closest(name, classes)}"
            )
        ids.append(found)
    return sorted(ids)


def check_protocol(parts: Mapping[str, Collection[str]], where: Mapping[str, str]) -> None:
    """Refuse parts in which a seen class is not trained on, or an unseen one is.

    Args:
        parts: key of ``PARTS`` → the names of its classes.
        where: key of ``PARTS`` → what its classes were read from, for messages.

    Raises:
        UserError: a class is in parts that exclude each other, or is missing in one.
    """
    train, val = set(parts["stage_1_train"]), set(parts["val_unseen"])
    rules = (
        (
            "val_seen",
            set(parts["val_seen"]) - train,
            "is not among the training classes, expected it in stage_1_train, too",
        ),
        (
            "val_unseen",
            val & train,
            "is a training class, expected one that is not in stage_1_train",
        ),
        (
            "test_seen",
            set(parts["test_seen"]) - train - val,
            "is not trained on in stage 2, expected it in stage_1_train or val_unseen, too",
        ),
        (
            "test_unseen",
            set(parts["test_unseen"]) & (train | val),
            "is trained on in stage 2, expected one that is not in stage_1_train or val_unseen",
        ),
    )
    for part, wrong, what in rules:
        if wrong:
            raise UserError(f"{where[part]}: class {min(wrong)!r} {what}")
