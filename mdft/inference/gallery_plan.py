"""The clips of a gallery, and their classes where these are known."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from events.listing import list_files
from mdft.config.features import FeatureConfig
from mdft.data.cache import cache_folder, fingerprint
from mdft.data.files.splits import match
from mdft.errors import UserError, closest
from mdft.inference.gallery import GalleryJob


@dataclass(frozen=True)
class Plan:
    """What to read.

    Attributes:
        jobs: the clips, sorted.
        out: folder of their files.
        truths: name of a clip → its class, where it is known.
        notes: notes for the user, one line each.
    """

    jobs: list[GalleryJob]
    out: Path
    truths: Mapping[str, str]
    notes: Sequence[str]


def plan(
    folder: Path,
    config: FeatureConfig,
    names: Sequence[str],
    labels: Path | None = None,
    work: Path | None = None,
) -> Plan:
    """List the clips of a folder and their classes.

    Args:
        folder: the folder.
        config: settings of the extraction.
        names: the candidates.
        labels: csv file with columns clip and label; None: a clip in a subfolder whose name is
            one of the candidates is of that class.
        work: folder of the clips' files; None: a folder in the cache.

    Raises:
        UserError: the folder has no clips, or a row of the labels is not as expected.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected one with video files")
    listing = list_files(folder)
    notes = [listing.note()] if listing.passed_over else []
    if not listing.found:
        raise UserError(
            f"{folder}: contains no clips, expected files such as .mp4, .mkv, .webm or .avi"
            f"{'; ' * bool(notes)}{''.join(notes)}"
        )
    described = {"root": str(folder.resolve()), "features": config.described()}
    out = work or cache_folder() / f"gallery-{fingerprint(described)[:32]}"
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--work {out}: is a file, or inside {folder}; name another folder")
    found = [clip.relative_to(folder).as_posix() for clip in listing.found]
    jobs = [
        GalleryJob(name, clip, out / f"{name}.npz", config)
        for name, clip in zip(found, listing.found, strict=True)
    ]
    if labels is not None:
        return Plan(jobs, out, _read_labels(labels, found, names), notes)
    truths = {}
    for name in found:
        c = match(name.split("/")[0], names) if "/" in name else None
        if c is not None:
            truths[name] = names[c]
    return Plan(jobs, out, truths, notes)


def _read_labels(path: Path, clips: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    truths: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if not {"clip", "label"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path}: expected a first row with columns clip and label")
            for row in rows:
                clip, label = row["clip"] or "", row["label"] or ""
                c = match(label, names)
                for value, known, found in (
                    (clip, clips, clip in clips),
                    (label, names, c is not None),
                ):
                    if not found:
                        raise UserError(
                            f"{path}: line {rows.line_num}: {value!r} is none of the "
                            f"{'clips' if known is clips else 'class names'}"
                            f"{closest(value, known)}"
                        )
                assert c is not None
                truths[clip] = names[c]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a csv file in UTF-8 ({error})") from error
    return truths
