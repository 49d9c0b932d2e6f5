"""Join the audio and visual features of clips by name, and bring them to one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdft.data.files.clip_features import ClassFeatures
from mdft.errors import UserError


@dataclass(frozen=True)
class Joined:
    """Clips of one class, packed.

    Attributes:
        names: clip names, in the order of the audio file.
        seconds: length of each clip in seconds.
        whole_seconds: its length before its middle was cut out.
        audio_MD: (M, D_a) float32.
        visual_MD: (M, D_v) float32.
        paths: the audio and the visual file.
    """

    names: Sequence[str]
    seconds: Sequence[int]
    whole_seconds: Sequence[int]
    audio_MD: np.ndarray
    visual_MD: np.ndarray
    paths: tuple[Path, Path]

    @property
    def widths(self) -> dict[Path, int]:
        """Width of the audio and of the visual features, by file."""
        widths = (self.audio_MD.shape[1], self.visual_MD.shape[1])
        return dict(zip(self.paths, widths, strict=True))

    def check_widths(self, like: Mapping[Path, int]) -> None:
        """Raise a UserError if the widths differ from those of another class."""
        for (path, mine), (where, other) in zip(self.widths.items(), like.items(), strict=True):
            if mine != other:
                raise UserError(
                    f"{path}: clip {self.names[0]!r} is {mine} wide, expected {other} as in {where}"
                )


def join(
    audio: ClassFeatures, visual: ClassFeatures, lengths: str, max_seconds: int | None
) -> Joined:
    """Join the clips of two files by name, and bring both modalities to the same length.

    Args:
        audio: audio features of one class.
        visual: visual features of the same class.
        lengths: ``pool`` or ``cut``, see :func:`one_length`.
        max_seconds: only the middle of a longer clip is kept.

    Raises:
        UserError: a clip is in only one of the files.
    """
    here, there = set(audio.names), set(visual.names)
    for only, path, other in (
        (here - there, audio.path, visual.path),
        (there - here, visual.path, audio.path),
    ):
        if only:
            raise UserError(f"{path}: clip {min(only)!r} is missing in {other}")
    seen = dict(zip(visual.names, visual.features, strict=True))
    whole = [
        one_length(sound, seen[name], lengths)
        for name, sound in zip(audio.names, audio.features, strict=True)
    ]
    pairs = [
        (middle(audio_TD, max_seconds), middle(visual_TD, max_seconds))
        for audio_TD, visual_TD in whole
    ]
    return Joined(
        audio.names,
        [len(sound) for sound, _ in pairs],
        [len(sound) for sound, _ in whole],
        np.concatenate([sound for sound, _ in pairs]),
        np.concatenate([visual_TD for _, visual_TD in pairs]),
        (audio.path, visual.path),
    )


def one_length(
    audio_TD: np.ndarray, visual_TD: np.ndarray, lengths: str
) -> tuple[np.ndarray, np.ndarray]:
    """Shorten the longer of two sequences to the length T of the shorter one.

    ``cut`` drops the end of the longer one. ``pool`` does the same if the lengths differ by one,
    which is rounding; otherwise it averages the longer one over T intervals: vector i belongs to
    interval ``i · T // length``. Lengths differ because rates differ: TCaF's C3D features are one
    vector per 16 frames, its VGGish features one per 0.96 s, and cutting would pair sound and
    frames of different moments.
    """
    T = min(len(audio_TD), len(visual_TD))
    if lengths == "cut" or abs(len(audio_TD) - len(visual_TD)) <= 1:
        return audio_TD[:T], visual_TD[:T]
    return _pooled(audio_TD, T), _pooled(visual_TD, T)


def _pooled(features_TD: np.ndarray, T: int) -> np.ndarray:
    length = len(features_TD)
    if length == T:
        return features_TD
    stretch = np.arange(length) * T // length
    _, first, size = np.unique(stretch, return_index=True, return_counts=True)
    sums = np.add.reduceat(features_TD, first, axis=0, dtype=np.float64)
    return (sums / size[:, None]).astype(np.float32)


def middle(sequence_TD: np.ndarray, max_seconds: int | None) -> np.ndarray:
    """The middle of a sequence that is longer than `max_seconds`; None: all of it."""
    excess = 0 if max_seconds is None else max(0, len(sequence_TD) - max_seconds)
    start = excess // 2
    return sequence_TD[start : len(sequence_TD) - (excess - start)]
