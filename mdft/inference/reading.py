"""Read the clips of a folder: in parallel, resumable, with a file per clip that is kept.

A repeated call reads only clips that are new, changed, or were not finished. `events.folder`
handles resuming, parallel work, clusters and clips that fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from events.folder import Outcome, unfinished, work_folder
from events.listing import list_files
from mdft.config.features import FeatureConfig
from mdft.data.cache import cache_folder, fingerprint
from mdft.data.progress import progress_bar
from mdft.data.video.clip import ClipFeatures, extract_clip
from mdft.data.video.folder import Done, opened_npz
from mdft.errors import UserError
from mdft.files import replacing
from mdft.inference.media import NAMES, media_of

LOG = "clips.jsonl"
_ARRAYS = ("audio_TD", "visual_TD", "events_TKD")


@dataclass(frozen=True)
class ReadJob:
    """One clip of a folder.

    Attributes:
        name: its path in the folder.
        source: path of the clip.
        out: the file to write.
        config: settings of the extraction.
        strict: refuse a clip of which any frame is lost or damaged.
        media: keep a frame, the events and the sound as small files for a web page, too.
    """

    name: str
    source: Path
    out: Path
    config: FeatureConfig
    strict: bool = False
    media: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the file depends on."""
        return described(self.config, strict=self.strict, media=self.media)


@dataclass(frozen=True)
class Reading:
    """The clips of a folder.

    Attributes:
        jobs: the clips, sorted.
        out: folder of their files.
        notes: notes for the user, one line each.
    """

    jobs: Sequence[ReadJob]
    out: Path
    notes: Sequence[str]


def described(config: FeatureConfig, *, strict: bool, media: bool) -> dict[str, Any]:
    """The settings that the file of a clip depends on, for JSON."""
    return {"reading": 1, "features": config.described(), "strict": strict, "media": media}


def plan_reading(
    folder: Path,
    config: FeatureConfig,
    work: Path | None = None,
    *,
    strict: bool = False,
    media: bool = False,
) -> Reading:
    """List the clips of a folder.

    Args:
        folder: the folder.
        config: settings of the extraction.
        work: folder of the clips' files; None: a folder in the cache.
        strict: refuse a clip of which any frame is lost or damaged.
        media: keep small files for a web page, too.

    Raises:
        UserError: the folder does not exist or has no clips, or WORK is a file or inside it.
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
    settings = described(config, strict=strict, media=media)
    name = fingerprint({"root": str(folder.resolve()), **settings})[:32]
    out = work or cache_folder() / f"read-{name}"
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--work {out}: is a file, or inside {folder}; name another folder")
    found = {clip.relative_to(folder).as_posix(): clip for clip in listing.found}
    jobs = [
        ReadJob(name, clip, out / f"{name}.npz", config, strict, media)
        for name, clip in found.items()
    ]
    return Reading(jobs, out, notes)


def read_all(reading: Reading, engine: str = "loky", workers: int = -1) -> dict[str, str]:
    """Read the clips that are not done yet, in parallel, with a progress bar.

    Args:
        reading: the clips.
        engine: loky, threading, sequential or dask://HOST:PORT.
        workers: number of parallel workers; −1 is one per core.

    Returns:
        Name → message of each clip that could not be read.

    Raises:
        UserError: the work could not be started.
    """
    todo = unfinished(list(reading.jobs), reading.out, LOG)
    failed: dict[str, str] = {}
    with progress_bar(bool(todo)) as bar:
        task = bar.add_task("clips", total=len(todo))

        def ended(outcome: Outcome[ReadJob, Done]) -> None:
            bar.advance(task)
            if outcome.error:
                failed[outcome.job.name] = outcome.error

        if todo:
            work_folder(_read, todo, reading.out, engine, workers, ended, LOG)
    return failed


def _read(job: ReadJob) -> Done:
    clip = extract_clip(job.source, job.config, keep_footage=job.media, strict=job.strict)
    arrays: dict[str, Any] = {name: getattr(clip, name) for name in _ARRAYS}
    if clip.footage is not None:
        media = media_of(clip.footage)
        arrays |= {name: np.frombuffer(media[name], np.uint8) for name in NAMES}
    with replacing(job.out) as temporary:
        np.savez(
            temporary,
            fps=clip.fps,
            silent=clip.silent,
            remarks=np.array(clip.remarks, dtype=str),
            **arrays,
        )
    return Done(clip.remarks)


def read_back(job: ReadJob) -> tuple[ClipFeatures, Mapping[str, bytes]]:
    """The features of a clip that :func:`read_all` has read, and its media if they were kept.

    Raises:
        UserError: its file is damaged.
    """
    with opened_npz(job.out) as file:
        clip = ClipFeatures(
            **{name: file[name] for name in _ARRAYS},
            fps=float(file["fps"]),
            remarks=tuple(str(text) for text in file["remarks"]),
            silent=bool(file["silent"]),
        )
        media = {name: file[name].tobytes() for name in NAMES} if job.media else {}
    return clip, media


def folder_clips(
    reading: Reading, engine: str = "loky", workers: int = -1
) -> Iterator[tuple[Path, ClipFeatures | UserError]]:
    """Read the clips of a folder, and yield each with its path, or the reason why it failed.

    Args:
        reading: the clips.
        engine: as for :func:`read_all`.
        workers: as for :func:`read_all`.

    Raises:
        UserError: the work could not be started.
    """
    failed = read_all(reading, engine, workers)
    for job in reading.jobs:
        if job.name in failed:
            yield job.source, UserError(failed[job.name])
            continue
        try:
            yield job.source, read_back(job)[0]
        except UserError as error:
            yield job.source, error
