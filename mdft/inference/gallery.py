"""The clips of a gallery page: what each one shows and sounds like, small enough for one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from events.folder import Outcome, unfinished, work_folder
from mdft.config.features import FeatureConfig
from mdft.data.progress import progress_bar
from mdft.data.video.backbone import Evidence, Labeller
from mdft.data.video.clip import extract_clip
from mdft.data.video.folder import Done
from mdft.errors import UserError
from mdft.files import replacing
from mdft.inference.media import NAMES, address, media_of
from mdft.inference.zero_shot import Labelled, ranked

LOG = "gallery.jsonl"
TOP = 5


@dataclass(frozen=True)
class Entry:
    """A clip on the page.

    Attributes:
        name: name of the clip.
        truth: its class, if known.
        labels: ``both``, ``audio`` and ``visual`` → the best classes with their scores.
        heard: modality → the concepts that the networks found.
        remarks: irregularities of the file, one line each.
        image: a frame of its middle, as a data address of a JPEG.
        events: its events, as a data address of an animated GIF.
        sound: its sound, as a data address of an MP4; empty for a silent clip.
    """

    name: str
    truth: str | None
    labels: Mapping[str, Sequence[tuple[str, float]]]
    heard: Mapping[str, Sequence[tuple[str, float]]]
    remarks: Sequence[str]
    image: str
    events: str
    sound: str


@dataclass(frozen=True)
class GalleryJob:
    """Features and small media of one clip.

    Attributes:
        name: its path in the folder.
        source: path of the clip.
        out: the file to write.
        config: settings of the extraction.
    """

    name: str
    source: Path
    out: Path
    config: FeatureConfig

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the file depends on."""
        return {"gallery": 1, "features": self.config.described()}


def work(jobs: list[GalleryJob], out: Path, engine: str, workers: int) -> dict[str, str]:
    """Read the clips that are not done yet, in parallel, with a progress bar.

    Args:
        jobs: the clips.
        out: folder of their files.
        engine: loky, threading, sequential or dask://HOST:PORT.
        workers: number of parallel workers; −1 is one per core.

    Returns:
        Name → message of each clip that could not be read.

    Raises:
        UserError: the work could not be started.
    """
    todo = unfinished(jobs, out, LOG)
    failed: dict[str, str] = {}
    with progress_bar(bool(todo)) as bar:
        task = bar.add_task("clips", total=len(todo))

        def ended(outcome: Outcome[GalleryJob, Done]) -> None:
            bar.advance(task)
            if outcome.error:
                failed[outcome.job.name] = outcome.error

        if todo:
            work_folder(_extract, todo, out, engine, workers, ended, LOG)
    return failed


def _extract(job: GalleryJob) -> Done:
    clip = extract_clip(job.source, job.config, keep_footage=True)
    assert clip.footage is not None
    media = {name: np.frombuffer(b, np.uint8) for name, b in media_of(clip.footage).items()}
    with replacing(job.out) as temporary:
        np.savez(
            temporary,
            audio=clip.audio_TD,
            visual=clip.visual_TD,
            remarks=np.array(clip.remarks, dtype=str),
            **cast(dict[str, Any], media),
        )
    return Done(clip.remarks)


def read_entry(
    job: GalleryJob, names: Sequence[str], labeller: Labeller, truth: str | None
) -> Entry:
    """The entry of a clip that :func:`work` has read.

    Args:
        job: the clip.
        names: the candidates.
        labeller: compares features with the candidates.
        truth: its class, if known.

    Raises:
        UserError: its file is damaged.
    """
    try:
        with np.load(job.out, allow_pickle=False) as file:
            audio_TD, visual_TD = file["audio"], file["visual"]
            remarks = [str(text) for text in file["remarks"]]
            media = {name: file[name].tobytes() for name in NAMES}
    except (KeyError, ValueError, EOFError) as error:
        raise UserError(f"{job.out}: damaged ({error}); remove it and run again") from error
    evidence = dict(labeller(audio_TD, visual_TD))
    if not media["sound"]:
        evidence.pop("audio", None)
    return _entry(job.name, truth, names, evidence, remarks, media)


def entry_of(name: str, found: Labelled, names: Sequence[str], truth: str | None) -> Entry:
    """The entry of a clip that was labelled with ``keep_footage``."""
    assert found.clip.footage is not None, "label the clip with keep_footage=True"
    media = media_of(found.clip.footage)
    return _entry(name, truth, names, found.evidence, found.remarks, media)


def _entry(
    name: str,
    truth: str | None,
    names: Sequence[str],
    evidence: Mapping[str, Evidence],
    remarks: Sequence[str],
    media: Mapping[str, bytes],
) -> Entry:
    labels = {"both": [(c.name, c.score) for c in ranked(names, evidence)[:TOP]]}
    if len(evidence) == 1:
        labels = {}
    for modality, said in evidence.items():
        best = np.argsort(-said.log_C, kind="stable")[:TOP]
        labels[modality] = [(names[int(c)], float(np.exp(said.log_C[c]))) for c in best]
    return Entry(
        name=name,
        truth=truth,
        labels=labels,
        heard={modality: said.heard for modality, said in evidence.items()},
        remarks=remarks,
        image=address("image/jpeg", media["image"]),
        events=address("image/gif", media["events"]),
        sound=address("audio/mp4", media["sound"]) if media["sound"] else "",
    )
