"""The clips of a gallery, and their classes where these are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdft.config.features import FeatureConfig
from mdft.data.files.splits import match
from mdft.data.video.clip_csv import read_clip_csv
from mdft.errors import UserError, closest
from mdft.inference.reading import Reading, plan_reading


@dataclass(frozen=True)
class Plan:
    """What to read.

    Attributes:
        reading: the clips.
        truths: name of a clip → its class, where it is known.
    """

    reading: Reading
    truths: Mapping[str, str]


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
        labels: csv file with columns clip and label (`mdft.data.video.clip_csv`); None: a clip in
            a subfolder whose name is one of the candidates is of that class.
        work: folder of the clips' files; None: a folder in the cache.

    Raises:
        UserError: the folder has no clips, or a row of the labels is not as expected; a clip may
            have one row.
    """
    reading = plan_reading(folder, config, work, media=True)
    found = [job.name for job in reading.jobs]
    if labels is not None:
        return Plan(reading, _read_labels(labels, found, names))
    truths = {}
    for name in found:
        c = match(name.split("/")[0], names) if "/" in name else None
        if c is not None:
            truths[name] = names[c]
    return Plan(reading, truths)


def _read_labels(path: Path, clips: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    truths: dict[str, str] = {}
    for clip, (line, label) in read_clip_csv(path, "label", clips).items():
        c = match(label, names)
        if c is None:
            raise UserError(
                f"{path}: line {line}: {label!r} is none of the class names{closest(label, names)}"
            )
        truths[clip] = names[c]
    return truths
