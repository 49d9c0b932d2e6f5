"""A small random data set and a small model: fast, and no renderer involved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mdft.config.data import DataConfig
from mdft.config.model import LossConfig, ModelConfig, MotionConfig
from mdft.config.train import TrainConfig
from mdft.data.dataset import Batch, ClipSet, Provenance, offsets_of

D, T, K = 32, 3, 4
#: What the clips say that they come from; no source of that name is in the table.
SOURCE = "random"


def packed(values_NTX: np.ndarray, seconds_N: np.ndarray) -> np.ndarray:
    """The seconds that exist, clip after clip: (n, T, …) → (M, …)."""
    return values_NTX[np.arange(values_NTX.shape[1]) < seconds_N[:, None]]


def random_clips(seed: int = 0, *, ragged: bool = False) -> ClipSet:
    """12 classes of 8 clips whose features and events carry the class."""
    rng = np.random.default_rng(seed)
    classes, per_class = 12, 8
    n = classes * per_class
    labels = np.repeat(np.arange(classes), per_class)
    place = np.arange(n) % per_class
    prototype_CD = rng.normal(size=(classes, 1, D))
    audio_NTD = prototype_CD[labels] + rng.normal(size=(n, T, D))
    visual_NTD = -prototype_CD[labels] + rng.normal(size=(n, T, D))
    events_NTKD = rng.poisson(4 * (rng.random((classes, 1, 1, D)) < 0.3)[labels], (n, T, K, D))
    seconds_N = rng.integers(1, T + 1, n) if ragged else np.full(n, T)
    words_CW = rng.normal(size=(classes, 300))
    seen, val, test = labels < 8, (labels >= 8) & (labels < 10), labels >= 10
    index = np.arange(n)
    return ClipSet(
        audio_MD=packed(audio_NTD, seconds_N).astype(np.float32),
        visual_MD=packed(visual_NTD, seconds_N).astype(np.float32),
        events_MKD=packed(events_NTKD, seconds_N).astype(np.uint8),
        offsets_N1=offsets_of(seconds_N),
        labels_N=labels,
        names=[f"clip{i}" for i in range(n)],
        classes=[f"class{c:02d}" for c in range(classes)],
        words_CW=(words_CW / np.linalg.norm(words_CW, axis=1, keepdims=True)).astype(np.float32),
        splits={
            "stage_1_train": index[seen & (place < 4)],
            "val_seen": index[seen & (place >= 4) & (place < 6)],
            "val_unseen": index[val & (place < 6)],
            "stage_2_train": index[(seen | val) & (place < 6)],
            "test_seen": index[(seen | val) & (place >= 6)],
            "test_unseen": index[test],
        },
        provenance=Provenance(SOURCE),
    )


#: Widths of :func:`random_clips` on the command line.
FLAGS = f"--model.dim {D} --model.heads 4 --model.audio-features {D} --model.visual-features {D}"


def small_model(**changes) -> ModelConfig:
    """A model of the widths of :func:`random_clips`."""
    widths = {"dim": D, "audio_features": D, "visual_features": D, "joint": 16, "heads": 4}
    return ModelConfig(**{**widths, "motion": MotionConfig(), **changes})


def small_config(**changes) -> TrainConfig:
    """A run of a second over :func:`random_clips`."""
    defaults = {
        "data": DataConfig(source=SOURCE),
        "model": small_model(),
        "loss": LossConfig(),
        "epochs": 2,
        "batch_size": 24,
        "learning_rate": 1e-3,
        "device": "cpu",
    }
    return TrainConfig(**{**defaults, **changes})


def double(batch: Batch) -> Batch:
    """The same batch in float64."""
    floats = ("audio_BTD", "visual_BTD", "events_BTKD")
    return dataclasses.replace(batch, **{name: getattr(batch, name).double() for name in floats})


class DoubleClips(ClipSet):
    """Clips whose batches are float64."""

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        return double(super().batch(indices, seconds))


def in_double(clips: ClipSet) -> DoubleClips:
    """The same clips in float64, word vectors included."""
    given = {field.name: getattr(clips, field.name) for field in dataclasses.fields(clips)}
    return DoubleClips(**{**given, "words_CW": clips.words_CW.astype(np.float64)})


@contextmanager
def float64() -> Iterator[None]:
    """New modules and tensors are float64 in this context.

    A training run of the tests ends with other weights on another processor or with another number
    of threads: float32 sums are rounded in another order, a threshold moves by a step of its grid,
    a spike is lost. In float64 the same differences are 1e-15 of a value, and no rounding to a grid
    was seen to change: the loss curves of four epochs agreed to 1e-13 between AVX-512 with one
    thread and ATEN_CPU_CAPABILITY=default, MKL_CBWR=COMPATIBLE, NUMBA_CPU_NAME=generic with two.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
