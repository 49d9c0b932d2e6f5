"""What the harness asks of a system, ours or a baseline: embed clips, embed classes, a loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage


@dataclass(frozen=True)
class Spikes:
    """What spiked in a forward pass.

    Attributes:
        layers: pathway → spikes (B,S,N) of each layer; empty without a spiking network.
        mask_BT: bool, the seconds that exist; S is a multiple of T.
    """

    layers: dict[str, list[Tensor]]
    mask_BT: Tensor


NO_SPIKES = Spikes({}, torch.empty(0, 1, dtype=torch.bool))


@dataclass(frozen=True)
class Embedded:
    """Clips in the space where they meet the classes.

    Attributes:
        o_BRE: embeddings of each clip by M branches; M = 1 for a joint output.
        weight_BR: share of each branch in a clip's distances.
        spikes: of the forward pass.
    """

    o_BRE: Tensor
    weight_BR: Tensor
    spikes: Spikes = NO_SPIKES


@dataclass(frozen=True)
class TrainingBatch:
    """What the loss of one training step is computed from.

    Attributes:
        clips: B of them; where several processes share a step, this one's share of them.
        words_CW: word vectors of the classes of the stage's training split.
        targets_B: row of each clip's class in it.
        negatives_B: index in the batch of a clip of another class, for systems that need one.
    """

    clips: Batch
    words_CW: Tensor
    targets_B: Tensor
    negatives_B: Tensor | None = None

    def negative(self, x_BX: Tensor) -> Tensor:
        """The rows of ``x`` of each clip's negative."""
        assert self.negatives_B is not None, "a system that takes negatives must ask for them"
        return x_BX[self.negatives_B]


@dataclass(frozen=True)
class Loss:
    """What a training step takes the gradient of.

    Attributes:
        terms: scalars, and their sum under ``total``.
        spikes: of the batch.
    """

    terms: dict[str, Tensor]
    spikes: Spikes = NO_SPIKES


class System(nn.Module):
    """A model that the two-stage protocol can train and test.

    Attributes:
        needs_negatives: whether a batch must name a negative for each clip.
    """

    needs_negatives: bool = True

    def embed_clips(self, batch: Batch) -> Embedded:
        """Embed B clips."""
        raise NotImplementedError

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """Embed C classes, (C,E), given their word vectors."""
        raise NotImplementedError

    def loss(self, batch: TrainingBatch) -> Loss:
        """The loss of one training step; the harness takes the gradient of ``total``."""
        raise NotImplementedError

    def share(self) -> None:
        """Get ready for steps that several processes share; only ours can."""
        raise NotImplementedError

    def distances(self, clips: Embedded, o_w_CE: Tensor) -> np.ndarray:
        """(B,C) float64: ``Σ_m w_m ‖o_m − o_w‖₂``; a clip belongs to the nearest class.

        Args:
            clips: of :meth:`embed_clips`.
            o_w_CE: of :meth:`embed_words`, for the candidates.
        """
        branches = np.stack([exact_distances(o_BE, o_w_CE) for o_BE in clips.o_BRE.unbind(1)])
        return np.einsum("bm,mbc->bc", clips.weight_BR.double().numpy(force=True), branches)

    @property
    def spiking(self) -> bool:
        """Whether there is a spiking motion branch to calibrate and to export."""
        return False

    def calibrate(self, batch: Batch) -> dict[str, list[float]]:
        """Data-dependent initialisation; nothing unless a system has one.

        Args:
            batch: real clips.

        Returns:
            pathway → firing rate that each layer reached.
        """
        return {}

    def prepare(self, clips: ClipSet, stage: Stage) -> None:
        """A second phase of training, after every epoch and before scoring; most have none.

        Args:
            clips: the data set; clips of the stage's training split may be used.
            stage: which also names the candidates, whose word vectors may be used.
        """


def joint(o_BE: Tensor, spikes: Spikes = NO_SPIKES) -> Embedded:
    """Embeddings of one branch alone.

    Args:
        o_BE: (B,E).
        spikes: of the forward pass.
    """
    return Embedded(o_BE[:, None], o_BE.new_ones(len(o_BE), 1), spikes)


def summed(terms: dict[str, Tensor], spikes: Spikes = NO_SPIKES) -> Loss:
    """A loss of these terms, unweighted.

    Args:
        terms: scalars.
        spikes: of the batch.
    """
    return Loss({**terms, "total": torch.stack(list(terms.values())).sum()}, spikes)


def exact_distances(o_av_BE: Tensor, o_w_CE: Tensor) -> np.ndarray:
    """(B,C) Euclidean distances in float64, without the cancellation of ``‖x‖² − 2xy + ‖y‖²``."""
    return torch.cdist(
        o_av_BE.double(), o_w_CE.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).numpy(force=True)
