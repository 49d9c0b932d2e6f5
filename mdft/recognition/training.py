"""Train a spiking network on recordings by the cross-entropy of its spike counts, and test it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mdft.config.recordings import RecognitionConfig, Transform
from mdft.data.recordings.prepared import Recordings
from mdft.recognition.network import SpikingGraph

_TEST_BATCH = 64
#: Transforms that change training recordings anew in every epoch.
AUGMENT = ("mirror", "shift")


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training recordings gave.

    Attributes:
        epoch: counted from 0.
        loss: mean cross-entropy.
        accuracy: share of the training recordings that were recognised, as they were seen.
        seconds: wall-clock time.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


def answers(counts_BC: Tensor) -> Tensor:
    """The class with the most spikes, (B,); of several the first."""
    # argmax of torch may return any of equal ones; NumPy's returns the first.
    return torch.from_numpy(counts_BC.detach().cpu().numpy().argmax(1))


def train(
    network: SpikingGraph,
    recordings: Recordings,
    config: RecognitionConfig,
    report: Callable[[Epoch], None] | None = None,
) -> None:
    """Train in place: cross-entropy of ``counts / temperature``, Adam, a cosine to 0.

    Args:
        network: the network; its parameters are changed.
        recordings: training recordings.
        config: epochs, batch size, learning rate, temperature and seed.
        report: called after each epoch.

    Raises:
        UserError: arithmetic ``loihi``: a current or a membrane leaves 24 bits.
    """
    random = np.random.default_rng(config.seed)
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    augment = [t for t in config.data.transforms if t.name in AUGMENT]
    steps, done = config.epochs * math.ceil(len(recordings) / config.batch_size), 0
    for epoch in range(config.epochs):
        start, total, right = time.perf_counter(), 0.0, 0
        for x_BSX, labels_B in batches(recordings, config.batch_size, random, augment):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * done / steps)) / 2
            counts_BC = network.counts(x_BSX)
            loss = F.cross_entropy(counts_BC / config.temperature, labels_B)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(labels_B)
            right += int((answers(counts_BC) == labels_B).sum())
            done += 1
        seconds = time.perf_counter() - start
        if report is not None:
            report(Epoch(epoch, total / len(recordings), right / len(recordings), seconds))


def batches(
    recordings: Recordings,
    size: int,
    random: np.random.Generator,
    augment: Sequence[Transform] = (),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the recordings in random order: inputs (B,S,polarities,height,width) and labels (B,).

    The inputs are counts of events, uint8.

    Args:
        recordings: the recordings.
        size: recordings a batch; the last may have fewer.
        random: draws the order and the augmentation.
        augment: transforms of ``AUGMENT``, see :func:`augmented`.
    """
    order = random.permutation(len(recordings))
    for start in range(0, len(order), size):
        chosen = np.sort(order[start : start + size])
        x_BSX = augmented(recordings.counts_NSX[chosen], augment, random)
        labels_B = torch.from_numpy(recordings.labels_N[chosen])
        yield torch.from_numpy(x_BSX), labels_B


def augmented(
    counts_BSX: NDArray[np.uint8], augment: Sequence[Transform], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Change each recording at random; on bins it is what it would be on their events.

    ``mirror`` mirrors it left to right with probability 1/2, as Tonic's ``RandomFlipLR`` does;
    ``shift=k`` moves it by up to k pixels in both directions; what leaves the sensor is lost.

    Args:
        counts_BSX: (B, bins, polarities, height, width); not changed.
        augment: transforms of ``AUGMENT``; others are ignored.
        random: draws the changes.
    """
    found = counts_BSX
    for transform in augment:
        changed = np.zeros_like(found)
        if transform.name == "mirror":
            for i, flipped in enumerate(random.random(len(found)) < 0.5):
                changed[i] = found[i, ..., ::-1] if flipped else found[i]
            found = changed
        elif transform.name == "shift":
            most = int(transform.number)
            for i, (dy, dx) in enumerate(random.integers(-most, most + 1, (len(found), 2))):
                (to_y, from_y), (to_x, from_x) = _moved(dy), _moved(dx)
                changed[i, ..., to_y, to_x] = found[i, ..., from_y, from_x]
            found = changed
    return found


def _moved(by: int) -> tuple[slice, slice]:
    """Where pixels go, and where they come from, along one axis."""
    if by >= 0:
        return slice(by, None), slice(None, -by or None)
    return slice(None, by), slice(-by, None)


@torch.no_grad()
def count_spikes(network: SpikingGraph, recordings: Recordings) -> Tensor:
    """The spike counts of the output for every recording, in order, (N,C)."""
    parts = []
    for start in range(0, len(recordings), _TEST_BATCH):
        x_BSX = np.array(recordings.counts_NSX[start : start + _TEST_BATCH])
        parts.append(network.counts(torch.from_numpy(x_BSX)))
    return torch.cat(parts)


def accuracy(counts_NC: Tensor, recordings: Recordings) -> float:
    """Share of recordings whose class has the most spikes; of equal ones the first counts."""
    return float((answers(counts_NC).numpy() == recordings.labels_N).mean())
