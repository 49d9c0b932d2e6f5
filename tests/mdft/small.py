"""A small random data set and a small model: fast, and no renderer involved."""

from __future__ import annotations

import numpy as np

from mdft.config import LossConfig, ModelConfig, MotionConfig, TrainConfig
from mdft.data.dataset import ClipSet

D, T, K = 32, 3, 4


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
    exists_NT = np.arange(T) < seconds_N[:, None]
    words_CW = rng.normal(size=(classes, 300))
    seen, val, test = labels < 8, (labels >= 8) & (labels < 10), labels >= 10
    index = np.arange(n)
    return ClipSet(
        audio_NTD=(audio_NTD * exists_NT[..., None]).astype(np.float32),
        visual_NTD=(visual_NTD * exists_NT[..., None]).astype(np.float32),
        events_NTKD=(events_NTKD * exists_NT[..., None, None]).astype(np.uint8),
        seconds_N=seconds_N,
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
    )


def small_config(**changes) -> TrainConfig:
    """A run of a second over :func:`random_clips`."""
    defaults = {
        "model": ModelConfig(dim=D, joint=16, heads=4, motion=MotionConfig()),
        "loss": LossConfig(),
        "epochs": 2,
        "batch_size": 24,
        "learning_rate": 1e-3,
        "device": "cpu",
    }
    return TrainConfig(**{**defaults, **changes})
