"""Clips as the model sees them: per-second features, event bins, labels, words, splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

#: Events per pixel are stored in sixteenths, as 8-bit graded spikes.
EVENT_UNIT = 1.0 / 16.0

SPLITS = (
    "stage_1_train",
    "val_seen",
    "val_unseen",
    "stage_2_train",
    "test_seen",
    "test_unseen",
)


@dataclass(frozen=True)
class Batch:
    """One batch of clips, padded to the longest.

    Attributes:
        audio_BTD: float32 audio features, one vector a second.
        visual_BTD: float32 visual features, one vector a second.
        events_BTKD: float32 event bins E_v in events per pixel (K bins a second).
        mask_BT: bool, True where the second exists.
        labels_B: int64 class indices.
    """

    audio_BTD: Tensor
    visual_BTD: Tensor
    events_BTKD: Tensor
    mask_BT: Tensor
    labels_B: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        return replace(self, **{k: v.to(device) for k, v in vars(self).items()})


@dataclass(frozen=True)
class ClipSet:
    """A whole benchmark in memory.

    Attributes:
        audio_NTD: (n, T, D) float32, zero beyond a clip's end.
        visual_NTD: (n, T, D) float32, zero beyond a clip's end.
        events_NTKD: (n, T, K, 512) integers, event bins in units of ``event_unit``.
        seconds_N: (n,) int64, the length of each clip in seconds.
        labels_N: (n,) int64 class index of each clip.
        names: clip names, unique.
        classes: class names; index = rank in the sorted list.
        words_CW: (C, 300) float32 class word vectors.
        splits: name in ``SPLITS`` → int64 clip indices.
        event_unit: what an integer 1 in ``events_NTKD`` stands for: a sixteenth of an event per
            pixel, or 1 for feature events.
    """

    audio_NTD: np.ndarray
    visual_NTD: np.ndarray
    events_NTKD: np.ndarray
    seconds_N: np.ndarray
    labels_N: np.ndarray
    names: Sequence[str]
    classes: Sequence[str]
    words_CW: np.ndarray
    splits: Mapping[str, np.ndarray]
    event_unit: float = EVENT_UNIT

    def __len__(self) -> int:
        return len(self.labels_N)

    def classes_of(self, *splits: str) -> np.ndarray:
        """Sorted class indices that occur in the named splits."""
        return np.unique(np.concatenate([self.labels_N[self.splits[s]] for s in splits]))

    def batch(self, indices: np.ndarray) -> Batch:
        """The clips at ``indices`` as tensors, cut to the longest of them."""
        seconds = self.seconds_N[indices]
        T = int(seconds.max())
        mask = np.arange(T)[None, :] < seconds[:, None]
        events = self.events_NTKD[indices, :T].astype(np.float32) * np.float32(self.event_unit)
        return Batch(
            audio_BTD=torch.from_numpy(np.ascontiguousarray(self.audio_NTD[indices, :T])),
            visual_BTD=torch.from_numpy(np.ascontiguousarray(self.visual_NTD[indices, :T])),
            events_BTKD=torch.from_numpy(events),
            mask_BT=torch.from_numpy(mask),
            labels_B=torch.from_numpy(self.labels_N[indices]),
        )
