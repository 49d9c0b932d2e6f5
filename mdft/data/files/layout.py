"""Find the files of a benchmark in the layout of AVCA and TCaF.

    ROOT/class-split/all_class.txt
    ROOT/class-split/*_w2v_class_names.csv
    ROOT/class-split/{main,cls}_split/stage_*.txt
    ROOT/features/SET/{audio,video}/stage_*/CLASS.h5 or .pkl
    ROOT/features/SET/events/stage_*/CLASS.pkl, of python -m mdft.features
    ROOT/features/SET/text/word_embeddings_*_normed.npy
    ROOT/features/SET/text/wavcaps_word_embeddings_*_normed.npy, of ClipClap; optional

File names come from listing a folder and are compared with the class names; no path is built from
a class name, which is untrusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdft.data.files.clip_features import ClassFeatures
from mdft.data.files.readers import read_averaged, read_seconds
from mdft.data.files.splits import PARTS, Splits, match, read_splits
from mdft.errors import UserError, closest

READERS: Mapping[str, Callable[[Path], ClassFeatures]] = {
    ".h5": read_averaged,
    ".pkl": read_seconds,
}
_WAVCAPS = "wavcaps_word_embeddings_*_normed.npy"
#: Bytes at both ends of a feature file that its fingerprint covers.
_ENDS = 65536


@dataclass(frozen=True)
class ClassFiles:
    """The files of one class in one part of the protocol.

    Attributes:
        part: key of ``PARTS``.
        label: class id.
        audio: file of the audio features.
        visual: file of the visual features.
        events: file of the event bins; None if E_v is computed from the features.
    """

    part: str
    label: int
    audio: Path
    visual: Path
    events: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The paths that are not None."""
        return [p for p in (self.audio, self.visual, self.events) if p is not None]


@dataclass(frozen=True)
class Layout:
    """A benchmark on disk.

    Attributes:
        root: folder of the benchmark.
        features: folder of the feature set.
        suffix: ``.h5`` (averaged) or ``.pkl`` (one vector per second).
        splits: classes and parts.
        files: feature files, ordered by part, then class.
        vectors: files of the word vectors, which are concatenated.
        names_csv: file that maps class names to the names of the word vectors.
        others: feature files of classes that the split does not use.
    """

    root: Path
    features: Path
    suffix: str
    splits: Splits
    files: Sequence[ClassFiles]
    vectors: Sequence[Path]
    names_csv: Path
    others: Sequence[Path] = ()

    def fingerprint(self) -> str:
        """SHA-256 of the files that the clips depend on.

        Class lists enter with their contents; feature files with their path under the root, size,
        modification time, and 64 KiB at both ends. This detects files added, removed, renamed,
        truncated or rewritten, but not an edit that restores size and modification time.
        """
        digest = hashlib.sha256()
        for path in self.splits.files:
            digest.update(f"{path.relative_to(self.root)}\0".encode() + path.read_bytes())
        for path in (p for files in self.files for p in files.paths):
            status = path.stat()
            name = f"{path.relative_to(self.root)}\0{status.st_size}\0{status.st_mtime_ns}\0"
            digest.update(name.encode("utf-8", "surrogateescape"))
            with path.open("rb") as file:
                digest.update(file.read(_ENDS))
                file.seek(max(0, status.st_size - _ENDS))
                digest.update(file.read(_ENDS))
        return digest.hexdigest()


def find(root: Path, split: str, features: str | None, pixel_events: bool = False) -> Layout:
    """Find the files of a benchmark.

    Args:
        root: folder of the benchmark.
        split: name of the folder under ``class-split/``.
        features: name of the folder under ``features/``; None: the only one.
        pixel_events: whether to include the event bins, ``events/`` beside ``audio/``.

    Raises:
        UserError: a required file or folder is missing or ambiguous.
    """
    if not root.is_dir():
        raise UserError(f"--data.root {root}: no such folder, expected class-split/ and features/")
    splits = read_splits(root, split)
    folder = _feature_set(root, features)
    suffix = _suffix(folder)
    if pixel_events and not (folder / "events").is_dir():
        raise UserError(
            f"{folder}: contains no events/ (published features have none); use --data.events "
            "feature, or extract events from clips with python -m mdft.features"
        )
    kinds = ("audio", "video", "events") if pixel_events else ("audio", "video")
    files: list[ClassFiles] = []
    there: set[Path] = set()
    for part, stem in PARTS.items():
        folders = [folder / kind / stem for kind in kinds]
        listed = [(where, _listing(where, suffix, splits.classes)) for where in folders]
        for label in splits.parts[part]:
            paths = [
                _file_of(label, splits.classes, found, where, suffix) for where, found in listed
            ]
            files.append(ClassFiles(part, label, *paths))
        there |= {path for where in folders for path in where.iterdir() if path.suffix == suffix}
    text = folder / "text"
    vectors = [_only(text, "word_embeddings_*_normed.npy")]
    if any(text.glob(_WAVCAPS)):
        vectors.append(_only(text, _WAVCAPS))
    names_csv = _only(root / "class-split", "*_w2v_class_names.csv")
    others = sorted(there - {path for used in files for path in used.paths})
    return Layout(root, folder, suffix, splits, files, vectors, names_csv, others)


def _feature_set(root: Path, name: str | None) -> Path:
    folder = root / "features"
    if not folder.is_dir():
        raise UserError(f"--data.root {root}: contains no features/, see docs/data.md")
    sets = {p.name: p for p in sorted(folder.iterdir()) if (p / "audio").is_dir()}
    listed = ", ".join(sets) or "none"
    if name is None and len(sets) == 1:
        return next(iter(sets.values()))
    if name not in sets:
        found = "not given" if name is None else f"{name!r}"
        raise UserError(f"--data.features is {found}, expected one of those in {folder}: {listed}")
    return sets[name]


def _suffix(folder: Path) -> str:
    """The file format of a feature set."""
    there = {p.suffix for p in folder.glob("*/*/*") if p.suffix in READERS}
    if len(there) != 1:
        found = " and ".join(sorted(there)) if there else "neither"
        raise UserError(f"{folder}: found {found}, expected files of either .h5 or .pkl")
    return there.pop()


def _listing(folder: Path, suffix: str, classes: Sequence[str]) -> dict[int, Path]:
    """Class id → its file; files that match no class are ignored."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected one {suffix} file per class")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        label = match(path.name[: -len(suffix)], classes) if path.suffix == suffix else None
        if label is None:
            continue
        if not path.is_file():
            raise UserError(f"{path}: not a regular file")
        if label in found:
            raise UserError(f"{path}: {found[label].name} has the same class; remove one")
        found[label] = path
    return found


def _file_of(
    label: int, classes: Sequence[str], found: Mapping[int, Path], folder: Path, suffix: str
) -> Path:
    if label in found:
        return found[label]
    others = [p.stem for p in folder.iterdir() if p.suffix == suffix and p not in found.values()]
    name = classes[label]
    raise UserError(f"{folder}: no {suffix} file for class {name!r}{closest(name, others)}")


def _only(folder: Path, pattern: str) -> Path:
    # macOS leaves a file ._NAME beside each NAME that it copies to another file system.
    found = sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))
    if len(found) != 1:
        listed = ", ".join(p.name for p in found) or "none"
        raise UserError(f"{folder}: found {listed}, expected exactly one {pattern}")
    return found[0]
