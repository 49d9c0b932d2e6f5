"""The clips of a gallery page: what each one shows and sounds like, small enough for one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mdft.inference.media import address, media_of
from mdft.inference.reading import ReadJob, read_back
from mdft.inference.zero_shot import Labelled, ZeroShot

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


def read_entry(job: ReadJob, labeller: ZeroShot, truth: str | None) -> Entry:
    """The entry of a clip that was read, with its media.

    Args:
        job: the clip.
        labeller: compares features with the candidates.
        truth: its class, if known.

    Raises:
        UserError: its file is damaged.
    """
    clip, media = read_back(job)
    return _entry(job.name, truth, labeller.names, labeller.of_features(clip), media)


def entry_of(name: str, found: Labelled, names: Sequence[str], truth: str | None) -> Entry:
    """The entry of a clip that was labelled with ``keep_footage``."""
    assert found.clip.footage is not None, "label the clip with keep_footage=True"
    media = media_of(found.clip.footage)
    return _entry(name, truth, names, found, media)


def _entry(
    name: str,
    truth: str | None,
    names: Sequence[str],
    found: Labelled,
    media: Mapping[str, bytes],
) -> Entry:
    labels = {"both": [(c.name, c.score) for c in found.labels[:TOP]]}
    if len(found.evidence) == 1:
        labels = {}
    for modality, said in found.evidence.items():
        best = np.argsort(-said.log_C, kind="stable")[:TOP]
        labels[modality] = [(names[int(c)], float(np.exp(said.log_C[c]))) for c in best]
    return Entry(
        name=name,
        truth=truth,
        labels=labels,
        heard={modality: said.heard for modality, said in found.evidence.items()},
        remarks=found.remarks,
        image=address("image/jpeg", media["image"]),
        events=address("image/gif", media["events"]),
        sound=address("audio/mp4", media["sound"]) if media["sound"] else "",
    )
