"""Sound and pictures of the same clips brought together: by name, and to one length."""

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
        names: of the clips, in the order of the audio file.
        seconds: length of each clip.
        audio_MD: (M, D_a) float32.
        visual_MD: (M, D_v) float32.
        paths: the audio and the visual file.
    """

    names: Sequence[str]
    seconds: Sequence[int]
    audio_MD: np.ndarray
    visual_MD: np.ndarray
    paths: tuple[Path, Path]

    @property
    def widths(self) -> dict[Path, int]:
        """Width of the audio and of the visual features, by file."""
        widths = (self.audio_MD.shape[1], self.visual_MD.shape[1])
        return dict(zip(self.paths, widths, strict=True))

    def check_widths(self, like: Mapping[Path, int]) -> None:
        """Raise a UserError unless the widths are those of another class."""
        for (path, mine), (where, other) in zip(self.widths.items(), like.items(), strict=True):
            if mine != other:
                raise UserError(
                    f"{path}: clip {self.names[0]!r} is {mine} wide, expected {other} as in {where}"
                )


def join(
    audio: ClassFeatures, visual: ClassFeatures, lengths: str, max_seconds: int | None
) -> Joined:
    """The clips of two files, joined by name, each of one length.

    Args:
        audio: of one class.
        visual: of the same class.
        lengths: how unequal lengths are mended, see :func:`one_length`.
        max_seconds: of a longer clip the middle is kept.

    Raises:
        UserError: a clip is in one file only.
    """
    here, there = set(audio.names), set(visual.names)
    for only, path, other in (
        (here - there, audio.path, visual.path),
        (there - here, visual.path, audio.path),
    ):
        if only:
            raise UserError(f"{path}: clip {min(only)!r} is missing in {other}")
    seen = dict(zip(visual.names, visual.features, strict=True))
    pairs = [
        _middle(one_length(sound, seen[name], lengths), max_seconds)
        for name, sound in zip(audio.names, audio.features, strict=True)
    ]
    return Joined(
        audio.names,
        [len(sound) for sound, _ in pairs],
        np.concatenate([sound for sound, _ in pairs]),
        np.concatenate([pictures for _, pictures in pairs]),
        (audio.path, visual.path),
    )


def one_length(
    audio_TD: np.ndarray, visual_TD: np.ndarray, lengths: str
) -> tuple[np.ndarray, np.ndarray]:
    """Both sequences with as many vectors as the shorter one.

    ``cut`` drops the end of the longer one. ``pool`` does so if they differ by one vector, which
    is rounding, and else averages the longer one over T equal stretches: vector i goes to stretch
    ``i · T // length``. For unequal lengths come of unequal rates: TCaF's C3D features are one
    vector in 16 frames, its VGGish features one in 0.96 s, and a cut would set the sound beside
    pictures of another moment.
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


def _middle(
    pair: tuple[np.ndarray, np.ndarray], max_seconds: int | None
) -> tuple[np.ndarray, np.ndarray]:
    excess = 0 if max_seconds is None else max(0, len(pair[0]) - max_seconds)
    start = excess // 2
    stop = len(pair[0]) - (excess - start)
    return pair[0][start:stop], pair[1][start:stop]
