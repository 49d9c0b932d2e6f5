"""Every system, small, on the clips of :mod:`tests.mdft.small`."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from mdft.config.baselines import BaselinesConfig
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.systems.build import BASELINES, OURS, build
from mdft.systems.interface import System, TrainingBatch
from mdft.training.sampler import draw_negatives
from tests.mdft.small import float64, in_double, random_clips, small_config, small_model

SYSTEMS = [*BASELINES, OURS]
#: The systems that training steps change.
TRAINED = [name for name in SYSTEMS if name not in ("means", "ridge")]
SMALL = {
    "hidden": 32,
    "joint": 32,
    "dim": 24,
    "head": 8,
    "heads": 2,
    "mlp": 16,
    "place": 8,
    "latent": 8,
    "hidden_encoder": 32,
    "hidden_generator": 32,
    "hidden_critic": 32,
    "synthetic": 20,
    "classifier_batch": 50,
    "classifier_rate": 0.05,
}


def system_config(name: str, *, drop: bool = False, **changes: Any) -> TrainConfig:
    """A run of a second of one system.

    Args:
        name: of the system.
        drop: dropout as published, or none at all.
        changes: fields of the baseline's own configuration.
    """
    if name == OURS:
        none = dict.fromkeys(("dropout_encoder", "dropout_projection", "dropout_words"), 0.0)
        return small_config(model=small_model(**({} if drop else none)))
    baselines = BaselinesConfig()
    own = getattr(baselines, name)
    names = [f.name for f in fields(own)]
    small = {n: SMALL[n] for n in names if n in SMALL}
    none = {n: 0.0 for n in names if n.startswith("dropout") and not drop}
    own = replace(own, **{**small, **none, **changes})
    return small_config(system=name, baseline=replace(baselines, **{name: own}))


def training_batch_of(clips: ClipSet, indices: np.ndarray) -> TrainingBatch:
    """A training step on these clips, among their own classes."""
    batch = clips.batch(indices)
    classes = np.unique(clips.labels_N[indices])
    return TrainingBatch(
        batch,
        torch.from_numpy(clips.words_CW[classes]),
        torch.from_numpy(np.searchsorted(classes, clips.labels_N[indices])),
        draw_negatives(batch.labels_B, torch.Generator().manual_seed(0)),
    )


def taught(system: System, batch: TrainingBatch, steps: int, rate: float) -> list[dict[str, float]]:
    """The loss terms of so many steps of Adam on one batch, with fresh negatives."""
    optimizer = torch.optim.Adam(system.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(0)
    system.train()
    curve = []
    for _ in range(steps):
        other_B = draw_negatives(batch.clips.labels_B, generator)
        terms = system.loss(replace(batch, negatives_B=other_B)).terms
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        curve.append({name: value.item() for name, value in terms.items()})
    return curve


def golden_curve(name: str) -> list[float]:
    """The first losses of a system in float64, from seed 0, without dropout."""
    torch.manual_seed(0)
    clips = in_double(random_clips(ragged=True))
    with float64():
        system = build(system_config(name))
        curve = taught(system, training_batch_of(clips, np.arange(0, 64, 2)), steps=8, rate=1e-3)
    return [terms["total"] for terms in curve]
