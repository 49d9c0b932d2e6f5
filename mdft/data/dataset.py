"""Clips as the input of a model: features per second, event bins, labels, words, splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdft.data.scale import Scale

#: Events are stored in sixteenths, as 8-bit graded spikes.
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
        audio_BTD: float32 audio features, one vector per second.
        visual_BTD: float32 visual features, one vector per second.
        events_BTKD: float32 event bins E_v in events per pixel (K bins per second).
        mask_BT: bool, True where the second is part of the clip, False for padding.
        labels_B: int64 class indices.
    """

    audio_BTD: Tensor
    visual_BTD: Tensor
    events_BTKD: Tensor
    mask_BT: Tensor
    labels_B: Tensor

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch on ``device``; see :meth:`torch.Tensor.to`."""
        moved = {k: v.to(device, non_blocking=non_blocking) for k, v in vars(self).items()}
        return replace(self, **moved)

    def pinned(self) -> Batch:
        """The same batch in pinned memory, for asynchronous copies to a GPU."""
        return replace(self, **{k: v.pin_memory() for k, v in vars(self).items()})


@dataclass(frozen=True)
class Provenance:
    """How clips were made; a run records it to extract features of other clips the same way.

    Attributes:
        source: name of the data source, a key of ``mdft.data.sources.SOURCES``.
        features: settings of the feature extraction as JSON, with the SHA-256 of the checkpoint
            (``FeatureConfig.described``); None if unknown.
        checkpoint: path of the checkpoint; empty if there is none.
        words: ``letters`` if word vectors are a function of the class names alone, else the name
            of their origin.
    """

    source: str
    features: Mapping[str, Any] | None = None
    checkpoint: str = ""
    words: str = "unnamed word vectors"


#: Value of ``Provenance.words`` for vectors that are a function of the letters of a name.
LETTERS = "letters"


@dataclass(frozen=True)
class ClipSet:
    """A whole benchmark, packed: the seconds of all clips, one clip after the other, unpadded.

    The arrays over M may be memory maps; a batch copies only its own seconds.

    Attributes:
        audio_MD: (M, D_a) float32, not standardised; M is the sum of all lengths.
        visual_MD: (M, D_v) float32, not standardised.
        events_MKD: (M, K, 512) integers, event bins in units of ``EVENT_UNIT``.
        offsets_N1: (n + 1,) int64; clip i is rows ``offsets[i]`` to ``offsets[i + 1]``.
        labels_N: (n,) int64 class index of each clip.
        names: clip names, unique.
        classes: class names; index = rank in the sorted list.
        words_CW: (C, W) float32 class word vectors.
        splits: name in ``SPLITS`` → int64 clip indices.
        scales: ``audio`` and ``visual`` → the scale that :meth:`batch` applies; ``{}``
            for none.
        notes: notes for the user about these clips, one line each.
        averaged: whether the features of a clip are one vector, the mean over its seconds.
        provenance: how the clips were made; set by the source that loads them.
    """

    audio_MD: np.ndarray
    visual_MD: np.ndarray
    events_MKD: np.ndarray
    offsets_N1: np.ndarray
    labels_N: np.ndarray
    names: Sequence[str]
    classes: Sequence[str]
    words_CW: np.ndarray
    splits: Mapping[str, np.ndarray]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    notes: Sequence[str] = ()
    averaged: bool = False
    provenance: Provenance | None = None

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def seconds_N(self) -> np.ndarray:
        """(n,) int64, the length of each clip in seconds."""
        return np.diff(self.offsets_N1)

    def classes_of(self, *splits: str) -> np.ndarray:
        """Sorted class indices that occur in the named splits."""
        return np.unique(np.concatenate([self.labels_N[self.splits[s]] for s in splits]))

    def digest_of(self, split: str) -> str:
        """16 hexadecimal digits that differ where the clips of two splits do, in any order.

        They are the beginning of the SHA-256 of the names, classes and lengths of the clips; their
        features and events are not read.
        """
        seconds_N = self.seconds_N
        found = sorted(
            (self.names[i], self.classes[int(self.labels_N[i])], int(seconds_N[i]))
            for i in self.splits[split]
        )
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]

    def rows(
        self, indices: np.ndarray, seconds: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows of clips in the packed arrays, and their places in a padded batch.

        Args:
            indices: (B,) clip indices.
            seconds: padded length T, at least that of the longest clip (default).

        Returns:
            (m,) rows of the packed arrays, clip after clip, and the (B, T) bool mask of their
            places.
        """
        starts, seconds_B = self.offsets_N1[indices], self.seconds_N[indices]
        time = np.arange(int(seconds_B.max()) if seconds is None else seconds)
        mask_BT = time < seconds_B[:, None]
        return (starts[:, None] + time)[mask_BT], mask_BT

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        """The clips at ``indices`` as tensors, standardised, padded with zeros.

        Args:
            indices: (B,) clip indices.
            seconds: padded length T, at least that of the longest clip (default).
        """
        rows, mask_BT = self.rows(indices, seconds)
        events = self.events_MKD[rows].astype(np.float32) * np.float32(EVENT_UNIT)
        return Batch(
            audio_BTD=_padded(self.standardised("audio", self.audio_MD[rows]), mask_BT),
            visual_BTD=_padded(self.standardised("visual", self.visual_MD[rows]), mask_BT),
            events_BTKD=_padded(events, mask_BT),
            mask_BT=torch.from_numpy(mask_BT),
            labels_B=torch.from_numpy(self.labels_N[indices]),
        )

    def batches(self, indices: np.ndarray, size: int = 256) -> Iterator[Batch]:
        """The clips at ``indices``, ``size`` at a time, padded to the longest of them all."""
        longest = int(self.seconds_N[indices].max())
        for start in range(0, len(indices), size):
            yield self.batch(indices[start : start + size], longest)

    def standardised(self, modality: str, features_MD: np.ndarray) -> np.ndarray:
        """Standardise rows of ``audio`` or ``visual`` features, if that modality has a scale."""
        scale = self.scales.get(modality)
        return features_MD if scale is None else scale(features_MD)


def offsets_of(seconds_N: np.ndarray) -> np.ndarray:
    """(n + 1,) int64 offsets of packed clips: the start of each clip, and the end of the last."""
    return np.concatenate([[0], np.cumsum(seconds_N)]).astype(np.int64)


def _padded(values_MX: np.ndarray, mask_BT: np.ndarray) -> Tensor:
    if mask_BT.all():  # no padding, so no copy
        return torch.from_numpy(values_MX.reshape(*mask_BT.shape, *values_MX.shape[1:]))
    out = np.zeros((*mask_BT.shape, *values_MX.shape[1:]), dtype=values_MX.dtype)
    out[mask_BT] = values_MX
    return torch.from_numpy(out)
