"""A folder of class-named subfolders of clips into one file of features a clip.

OUT/clips mirrors FOLDER: ``CLASS/NAME.mp4`` becomes ``clips/CLASS/NAME.mp4.npz``. The rest, that
is resuming, parallel work, clusters and clips that fail, is `events.folder`'s.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from events.folder import CLIPS, Outcome, unfinished, work_folder
from mdft.config.features import FeatureConfig
from mdft.data.progress import progress_bar
from mdft.data.video.clip import ClipFeatures, extract_clip
from mdft.errors import UserError, printable
from mdft.files import replacing

LOG = "features.jsonl"
STORE = "clips"
_ARRAYS = ("audio_TD", "visual_TD", "events_TKD")


@dataclass(frozen=True)
class ClipJob:
    """One clip of a folder.

    Attributes:
        name: ``CLASS/…/NAME.mp4``, its path in the folder.
        source: the clip.
        out: the file to write.
        config: what to take from it.
    """

    name: str
    source: Path
    out: Path
    config: FeatureConfig

    @property
    def settings(self) -> dict[str, Any]:
        """What else its features depend on."""
        return {"features": self.config.described()}

    @property
    def label(self) -> str:
        """Name of its class."""
        return self.name.split("/", 1)[0]


@dataclass(frozen=True)
class Done:
    """What was odd about a clip."""

    remarks: tuple[str, ...]


def plan(folder: Path, out: Path, config: FeatureConfig) -> list[ClipJob]:
    """The clips of every class, sorted; a class is a subfolder.

    Raises:
        UserError: no such folder, no clip in it, a clip of no class, a class whose name cannot be
            a line of a list, or OUT inside FOLDER.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected one subfolder of clips a class")
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{out}: a file, or inside {folder}; name a folder of its own")
    jobs = []
    for clip in sorted(p for p in folder.rglob("*") if p.suffix.lower() in CLIPS and p.is_file()):
        name = clip.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in name.split("/")):
            continue  # of the system, as ._0.mp4 is
        if "/" not in name:
            raise UserError(f"{clip}: in no class, expected it in a subfolder named by its class")
        jobs.append(ClipJob(name, clip, out / STORE / f"{name}.npz", config))
    if not jobs:
        raise UserError(
            f"{folder}: no clips in it, expected subfolders, named by their class, of files such "
            "as .mp4, .mkv, .webm or .avi"
        )
    for job in jobs:
        if job.label != job.label.strip() or not job.label.isprintable():
            raise UserError(
                f"{folder}: class {job.label!r} cannot be a line of a list; rename the subfolder, "
                "with no spaces at its ends and what can be printed between them"
            )
    return jobs


def extract_folder(
    jobs: list[ClipJob],
    out: Path,
    *,
    engine: str = "loky",
    workers: int = -1,
    progress: bool = True,
) -> list[Outcome[ClipJob, Done]]:
    """Features of all clips that are not done yet; those that fail are named on stderr.

    Args:
        jobs: of :func:`plan`.
        out: as there.
        engine: loky, threading, sequential or dask://HOST:PORT.
        workers: clips at a time; −1 is one a core.
        progress: show a bar, if stderr is a terminal.

    Returns:
        How each of them ended; a clip that failed is one of them, not an exception.

    Raises:
        UserError: nothing could be begun.
    """
    todo = unfinished(jobs, out, LOG)
    if not todo:
        return []  # no workers for nothing
    with progress_bar(progress) as bar:
        task = bar.add_task("features of clips", total=len(todo))

        def ended(outcome: Outcome[ClipJob, Done]) -> None:
            bar.advance(task)
            if outcome.error:
                text = escape(f"skipped: {printable(outcome.error)}")
                bar.console.print(text, soft_wrap=True, highlight=False)

        return work_folder(extract_job, todo, out, engine, workers, ended, LOG)


def extract_job(job: ClipJob) -> Done:
    """Extract one clip and write its file, whole or not at all."""
    clip = extract_clip(job.source, job.config)
    with replacing(job.out) as temporary:
        np.savez(temporary, fps=clip.fps, **{name: getattr(clip, name) for name in _ARRAYS})
    return Done(clip.remarks)


def read_job(job: ClipJob) -> ClipFeatures:
    """What :func:`extract_job` wrote.

    Raises:
        UserError: it is damaged.
    """
    try:
        with np.load(job.out, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
            return ClipFeatures(**arrays, fps=float(file["fps"]))
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{job.out}: damaged ({error}); remove it and run again") from error
