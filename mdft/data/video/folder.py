"""Extract a folder of class-named subfolders of clips into one feature file per clip.

OUT/clips mirrors FOLDER: ``CLASS/NAME.mp4`` becomes ``clips/CLASS/NAME.mp4.npz``. `events.folder`
handles resuming, parallel work, clusters and clips that fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from events.folder import Outcome, unfinished, work_folder
from events.listing import list_files
from mdft.config.features import FeatureConfig
from mdft.data.progress import progress_bar
from mdft.data.video.clip import ClipFeatures, extract_clip
from mdft.data.video.parts import class_of
from mdft.errors import UserError, printable, reason
from mdft.files import replacing

LOG = "features.jsonl"
STORE = "clips"
_ARRAYS = ("audio_TD", "visual_TD", "events_TKD")


@dataclass(frozen=True)
class ClipJob:
    """One clip of a folder.

    Attributes:
        name: ``CLASS/…/NAME.mp4``, its path in the folder.
        source: path of the clip.
        out: the file to write.
        config: settings of the extraction.
        strict: refuse a clip of which any frame is lost or damaged.
    """

    name: str
    source: Path
    out: Path
    config: FeatureConfig
    strict: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that its features depend on."""
        strict = {"strict": True} if self.strict else {}
        return {"features": self.config.described()} | strict

    @property
    def label(self) -> str:
        """Name of its class."""
        return class_of(self.name)


@dataclass(frozen=True)
class Done:
    """Result of an extracted clip: irregularities of the file, one line each."""

    remarks: tuple[str, ...]


def plan(
    folder: Path, out: Path, config: FeatureConfig, *, strict: bool = False
) -> tuple[list[ClipJob], list[str]]:
    """List the clips of every class, sorted; a class is a subfolder.

    Returns:
        The jobs, and notes on files of the folder that are no clips and on folders without clips.

    Raises:
        UserError: the folder does not exist or has no clips, a clip is in no class, the name of a
            class cannot be printed on one line, or OUT is inside FOLDER.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected one subfolder of clips per class")
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{out}: is a file, or inside {folder}; name another folder")
    listing = list_files(folder)
    notes = [listing.note()] if listing.passed_over else []
    if empty := listing.empty_folders():
        notes.append(empty)
    jobs = []
    for clip in listing.found:
        name = clip.relative_to(folder).as_posix()
        if "/" not in name:
            raise UserError(f"{clip}: has no class, expected it in a subfolder named by its class")
        jobs.append(ClipJob(name, clip, out / STORE / f"{name}.npz", config, strict))
    if not jobs:
        raise UserError(
            f"{folder}: contains no clips, expected subfolders, named by their class, with files "
            f"such as .mp4, .mkv, .webm or .avi{'; ' * bool(notes)}{''.join(notes)}"
        )
    for job in jobs:
        if job.label != job.label.strip() or not job.label.isprintable():
            raise UserError(
                f"{folder}: class {job.label!r} has spaces at its ends or unprintable characters; "
                "rename the subfolder"
            )
    return jobs, notes


def extract_folder(
    jobs: list[ClipJob],
    out: Path,
    *,
    engine: str = "loky",
    workers: int = -1,
    progress: bool = True,
) -> list[Outcome[ClipJob, Done]]:
    """Extract the features of all clips that are not done yet; failures are named on stderr.

    Args:
        jobs: the clips, from :func:`plan`.
        out: the folder OUT given to :func:`plan`.
        engine: loky, threading, sequential or dask://HOST:PORT.
        workers: number of parallel workers; −1 is one per core.
        progress: show a progress bar, if stderr is a terminal.

    Returns:
        The outcome of each clip; a clip that failed is an outcome, not an exception.

    Raises:
        UserError: the work could not be started.
    """
    todo = unfinished(jobs, out, LOG)
    if not todo:
        return []  # start no workers
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
    clip = extract_clip(job.source, job.config, strict=job.strict)
    with replacing(job.out) as temporary:
        np.savez(temporary, fps=clip.fps, **{name: getattr(clip, name) for name in _ARRAYS})
    return Done(clip.remarks)


def read_job(job: ClipJob) -> ClipFeatures:
    """Read the file that :func:`extract_job` wrote.

    Raises:
        UserError: the file is damaged.
    """
    with opened_npz(job.out) as file:
        arrays = {name: file[name] for name in _ARRAYS}
        return ClipFeatures(**arrays, fps=float(file["fps"]))


@contextmanager
def opened_npz(path: Path) -> Iterator[Mapping[str, Any]]:
    """A clip's file, to be read within.

    Raises:
        UserError: the file cannot be opened, or what is read from it is damaged.
    """
    try:
        # np.load leaves a damaged file open that it has opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except Exception as error:  # zipfile and NumPy raise many types for damaged files
        raise UserError(f"{path}: damaged ({reason(error)}); remove it and run again") from error
