"""Distances of clips to candidate classes, and firing rates, over whole splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mdft.data.dataset import ClipSet
from mdft.model import MDFT


@dataclass(frozen=True)
class ScoredSplit:
    """What :func:`mdft.gzsl.scores` needs.

    Attributes:
        distances: (n,C) Euclidean distances of clips to candidates.
        labels: (n,) candidate index of each clip.
        seen: (C,) which candidates are seen.
        classes: (C,) class index of each candidate.
        firing_rates: ``pathway.layer`` → spikes per neuron and step over these clips.
    """

    distances: np.ndarray
    labels: np.ndarray
    seen: np.ndarray
    classes: np.ndarray
    firing_rates: dict[str, float]


@torch.no_grad()
def score_split(
    model: MDFT, clips: ClipSet, seen_split: str, unseen_split: str, batch_size: int
) -> ScoredSplit:
    """Distances ``‖O_av − O_w‖₂`` of a seen and an unseen split to all their classes.

    Args:
        model: put into eval mode.
        clips: the data set.
        seen_split: name of the split of seen classes.
        unseen_split: name of the split of unseen classes.
        batch_size: clips a forward pass.
    """
    model.eval()
    device = next(model.parameters()).device
    classes = clips.classes_of(seen_split, unseen_split)
    seen = np.isin(classes, clips.classes_of(seen_split))
    indices = np.concatenate([clips.splits[seen_split], clips.splits[unseen_split]])
    o_w_CE = model.embed_words(torch.from_numpy(clips.words_CW[classes]).to(device))
    distances, rates, total = [], {}, int(clips.seconds_N[indices].sum())
    for start in range(0, len(indices), batch_size):
        chunk = indices[start : start + batch_size]
        batch = clips.batch(chunk).to(device)
        output = model(batch)
        distances.append(exact_distances(output.o_av_BE, o_w_CE))
        for name, rate in firing_rates(output.spikes, batch.mask_BT).items():
            share = int(batch.mask_BT.sum()) / total
            rates[name] = rates.get(name, 0.0) + rate.item() * share
    labels = np.searchsorted(classes, clips.labels_N[indices])
    return ScoredSplit(np.concatenate(distances), labels, seen, classes, rates)


def exact_distances(o_av_BE: Tensor, o_w_CE: Tensor) -> np.ndarray:
    """(B,C) Euclidean distances in float64, without the cancellation of ``‖x‖² − 2xy + ‖y‖²``."""
    return torch.cdist(
        o_av_BE.double(), o_w_CE.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).numpy(force=True)


def firing_rates(spikes: dict[str, list[Tensor]], mask_BT: Tensor) -> dict[str, Tensor]:
    """Spikes per neuron and step of each layer over the seconds that exist, differentiable.

    Args:
        spikes: pathway → spikes (B,S,N) of each layer, S = T·K.
        mask_BT: bool.

    Returns:
        ``pathway.lif_i`` → rate in [0,1], a scalar.
    """
    rates = {}
    for pathway, layers in spikes.items():
        for index, spikes_BSN in enumerate(layers, start=1):
            by_second = spikes_BSN.unflatten(1, (mask_BT.shape[1], -1))
            rates[f"{pathway}.lif_{index}"] = by_second[mask_BT].mean()
    return rates
