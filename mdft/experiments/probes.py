"""Probes of the benchmark of order: what simple methods recognise from which input.

Every probe follows the protocol of the systems: it is trained on ``stage_1_train``; its strength or
epoch and β are those with the best HM on the validation splits; it is trained again on
``stage_2_train``; and it is scored on the test splits with that β.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from mdft import gzsl
from mdft.config.order import ORDERS, OrderConfig
from mdft.config.rendered import OBJECTS, SOUNDS
from mdft.data.dataset import EVENT_UNIT, ClipSet
from mdft.data.order.classes import make_classes
from mdft.data.scale import measure
from mdft.experiments.gru import GruConfig, train
from mdft.gzsl import Scores
from mdft.model.regression import ridge

#: Attributes of a class, and their values.
ATTRIBUTES: dict[str, tuple[str, ...]] = {"object": OBJECTS, **ORDERS, "sound": SOUNDS}
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: Distances of predicted words are multiplied by it, so that the steps of β are fine enough.
_UNIT = 5.0
#: Factors on features and events as inputs of the GRU. With equal ones it memorises the clips by
#: their features; chosen by the validation HM of data seed 0, and used for all seeds.
_FEATURES, _EVENTS = 0.3, 2.0
_Choice = TypeVar("_Choice", int, float)
_VALIDATION, _TEST = ("val_seen", "val_unseen"), ("test_seen", "test_unseen")


@dataclass(frozen=True)
class Clips:
    """Clips of the benchmark of order with the attributes of their classes.

    Attributes:
        clips: the clips, not standardised.
        values_NA: (n, A) int64 value of each of ``ATTRIBUTES``, from 0.
    """

    clips: ClipSet
    values_NA: np.ndarray

    @property
    def onehot_NV(self) -> np.ndarray:
        """(n, Σ values) float64: 1 for the values of a clip's attributes."""
        widths = [len(values) for values in ATTRIBUTES.values()]
        return np.concatenate(
            [np.eye(k)[v] for k, v in zip(widths, self.values_NA.T, strict=True)], axis=1
        )

    @property
    def words_NW(self) -> np.ndarray:
        """(n, W) float64 word vector of each clip's class."""
        return self.clips.words_CW[self.clips.labels_N].astype(np.float64)


def with_attributes(config: OrderConfig, clips: ClipSet) -> Clips:
    """The clips of a configuration with their attributes."""
    kinds = make_classes(config.seed, config.counts)
    named = [(c.object, *c.order.values, c.sound) for c in kinds]
    tables = ATTRIBUTES.values()
    values_CA = np.array([[t.index(v) for t, v in zip(tables, row, strict=True)] for row in named])
    return Clips(clips, values_CA[clips.labels_N])


@dataclass(frozen=True)
class Found:
    """The test scores of one probe.

    Attributes:
        scores: S, U, HM and ZSL.
        attributes: attribute → share of the clips of unseen test classes whose value it predicts.
    """

    scores: Scores
    attributes: dict[str, float]


def sequences(clips: ClipSet) -> dict[str, np.ndarray]:
    """Audio and visual features (n, T, 512) and events (n, T·K, 512), float32.

    Features are standardised over the clips of ``stage_1_train``. Events are divided by their root
    mean square there, since a quiet pixel should not weigh as much as a busy one.
    """
    n, train = len(clips), clips.splits["stage_1_train"]
    rows, _ = clips.rows(train)
    found = {
        name: measure(features, rows)(features).reshape(n, -1, features.shape[1])
        for name, features in (("audio", clips.audio_MD), ("visual", clips.visual_MD))
    }
    events = clips.events_MKD.astype(np.float32) * np.float32(EVENT_UNIT)
    events /= np.sqrt(np.square(events[rows], dtype=np.float64).mean()).astype(np.float32)
    return {**found, "events": events.reshape(n, -1, events.shape[-1])}


def flat_inputs(clips: ClipSet) -> dict[str, np.ndarray]:
    """Inputs of the ridge regressions, one vector per clip: name → (n, F) float32."""
    found = sequences(clips)
    n = len(clips)
    means = {name: x.mean(axis=1) for name, x in found.items()}
    per_second = found["events"].reshape(n, found["audio"].shape[1], -1, 512).mean(axis=2)
    ends = [x[:, [0, -1]].reshape(n, -1) for x in (found["audio"], found["visual"], per_second)]
    return {
        "audio features, mean": means["audio"],
        "visual features, mean": means["visual"],
        "events, mean": means["events"],
        "all three, means": np.concatenate(list(means.values()), axis=1),
        "all three, first and last second": np.concatenate(ends, axis=1),
        "events over time": found["events"].reshape(n, -1),
    }


def sequence_inputs(clips: ClipSet) -> dict[str, np.ndarray]:
    """Inputs of the GRU: name → (n, S, F) float32."""
    found = sequences(clips)
    events = _EVENTS * found["events"]
    seconds = _FEATURES * np.concatenate([found["audio"], found["visual"]], axis=2)
    bins = events.shape[1] // seconds.shape[1]
    return {
        "features over time": seconds,
        "features and events over time": np.concatenate(
            [np.repeat(seconds, bins, axis=1), events], axis=2
        ),
    }


def chance(data: Clips) -> Found:
    """Expected scores of a uniform guess among the candidates, β 0."""
    seen = data.clips.classes_of("test_seen")
    unseen = data.clips.classes_of("test_unseen")
    both = 1 / (len(seen) + len(unseen))
    scores = Scores(both, both, both, 1 / len(unseen), {}, {}, 0.0)
    return Found(scores, {name: 1 / len(values) for name, values in ATTRIBUTES.items()})


def ridge_probe(data: Clips, x_NF: np.ndarray) -> Found:
    """Ridge regression from one vector per clip to the word vectors.

    The attributes are predicted by the same regression, to indicators of their values.
    """
    words = data.words_NW.shape[1]
    targets = np.concatenate([data.words_NW, data.onehot_NV], axis=1)

    def predicted(split: str, strength: float) -> np.ndarray:
        train = data.clips.splits[split]
        return _regressed(x_NF, x_NF[train], targets[train], strength)

    tried = {s: predicted("stage_1_train", s)[:, :words] for s in STRENGTHS}
    strength, beta = _best(data.clips, tried)
    found = predicted("stage_2_train", strength)
    return _tested(data, found[:, :words], found[:, words:], beta)


def gru_probe(data: Clips, x_NSF: np.ndarray, seed: int, config: GruConfig | None = None) -> Found:
    """A GRU that predicts the attributes; the word is that of the predicted probabilities."""
    config = config or GruConfig()
    sizes = [len(values) for values in ATTRIBUTES.values()]
    x, values = torch.from_numpy(x_NSF.astype(np.float32)), torch.from_numpy(data.values_NA)

    def trained(split: str, epochs: int, after: Callable[[int, np.ndarray], None]) -> None:
        clips = data.clips.splits[split]
        train(x, values, sizes, clips, replace(config, epochs=epochs), seed, after)

    tried: dict[int, np.ndarray] = {}
    trained(
        "stage_1_train",
        config.epochs,
        lambda epoch, p: tried.update({epoch: _words(data, "stage_1_train", p)}),
    )
    epoch, beta = _best(data.clips, tried)
    last: list[np.ndarray] = []
    trained("stage_2_train", epoch, lambda _, p: last.append(p))
    return _tested(data, _words(data, "stage_2_train", last[-1]), last[-1], beta)


def oracle(data: Clips) -> Found:
    """The words of the true attributes: what is possible with the word vectors."""
    tried = {0: _words(data, "stage_1_train", data.onehot_NV)}
    _, beta = _best(data.clips, tried)
    words = _words(data, "stage_2_train", data.onehot_NV)
    return _tested(data, words, data.onehot_NV, beta)


def _words(data: Clips, split: str, values_NV: np.ndarray) -> np.ndarray:
    """Words of (probabilities of) attribute values, by a regression on the true ones of a split."""
    true_NV, words_NW = data.onehot_NV[data.clips.splits[split]], data.words_NW
    words_NW = words_NW[data.clips.splits[split]]
    return _regressed(values_NV, true_NV, words_NW, 1e-6)


def _regressed(
    x_NF: np.ndarray, train_MF: np.ndarray, targets_MW: np.ndarray, strength: float
) -> np.ndarray:
    """What a ridge regression on training clips predicts for all clips, (N, W) float64."""
    map_FW, mean_F, mean_W = ridge(train_MF, targets_MW, strength)
    return (x_NF - mean_F) @ map_FW + mean_W


def _distances(
    clips: ClipSet, words_NW: np.ndarray, splits: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances to the candidates, labels among them, and which candidates are seen."""
    candidates = clips.classes_of(*splits)
    indices = np.concatenate([clips.splits[s] for s in splits])
    difference = words_NW[indices, None] - clips.words_CW[candidates].astype(np.float64)
    labels = np.searchsorted(candidates, clips.labels_N[indices])
    seen = np.isin(candidates, clips.classes_of(splits[0]))
    return _UNIT * np.linalg.norm(difference, axis=2), labels, seen


def _best(clips: ClipSet, tried: Mapping[_Choice, np.ndarray]) -> tuple[_Choice, float]:
    """The first choice with the best HM on the validation splits, and its β."""
    found = {}
    for choice, words_NW in tried.items():
        measured = _distances(clips, words_NW, _VALIDATION)
        beta = gzsl.choose_beta(*measured)
        found[choice] = (gzsl.scores(*measured, beta).hm, beta)
    best = max(found, key=lambda choice: found[choice][0])
    return best, found[best][1]


def _tested(data: Clips, words_NW: np.ndarray, values_NV: np.ndarray, beta: float) -> Found:
    scores = gzsl.scores(*_distances(data.clips, words_NW, _TEST), beta)
    unseen = data.clips.splits["test_unseen"]
    ends = np.cumsum([len(values) for values in ATTRIBUTES.values()])[:-1]
    parts = np.split(values_NV[unseen], ends, axis=1)
    hits = {
        name: float((part.argmax(axis=1) == data.values_NA[unseen, a]).mean())
        for a, (name, part) in enumerate(zip(ATTRIBUTES, parts, strict=True))
    }
    return Found(scores, hits)


def probe_all(
    data: Clips, seed: int, config: GruConfig, log: Callable[[str], None]
) -> dict[str, Found]:
    """All probes of one data seed, in the order of the table.

    Args:
        data: the clips.
        seed: of the GRU.
        config: the GRU.
        log: called with one line per finished probe.
    """
    rows: dict[str, Callable[[], Found]] = {"chance": lambda: chance(data)}
    for name, x in flat_inputs(data.clips).items():
        rows[f"ridge, {name}"] = partial(ridge_probe, data, x)
    for name, x in sequence_inputs(data.clips).items():
        rows[f"GRU, {name}"] = partial(gru_probe, data, x, seed, config)
    rows["oracle"] = lambda: oracle(data)
    found = {}
    for name, probe in rows.items():
        found[name] = probe()
        scores = found[name].scores
        log(f"seed {seed}, {name}: HM {100 * scores.hm:.1f} %, ZSL {100 * scores.zsl:.1f} %")
    return found
