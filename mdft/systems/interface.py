"""The interface of a system, MDFT or a baseline: embed clips, embed classes, compute a loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage


@dataclass(frozen=True)
class Spikes:
    """The spikes of a forward pass.

    Attributes:
        layers: pathway → spikes (B,S,N) of each layer; empty without a spiking network.
        mask_BT: bool, the seconds that exist; S is a multiple of T.
    """

    layers: dict[str, list[Tensor]]
    mask_BT: Tensor


NO_SPIKES = Spikes({}, torch.empty(0, 1, dtype=torch.bool))


@dataclass(frozen=True)
class Embedded:
    """Clips in the joint space of clips and classes.

    Attributes:
        o_BRE: R embeddings of each clip, such as one per modality; R = 1 for a joint embedding.
        weight_BR: weight of each embedding in a clip's distances.
        spikes: spikes of the forward pass.
    """

    o_BRE: Tensor
    weight_BR: Tensor
    spikes: Spikes = NO_SPIKES


@dataclass(frozen=True)
class TrainingBatch:
    """The inputs of a training step's loss.

    Attributes:
        clips: B clips; with several processes only the share of this process.
        words_CW: word vectors of the classes of the stage's training split.
        targets_B: row of each clip's class in ``words_CW``.
        negatives_B: index in the batch of a clip of another class, for systems that need one.
    """

    clips: Batch
    words_CW: Tensor
    targets_B: Tensor
    negatives_B: Tensor | None = None

    def negative(self, x_BX: Tensor) -> Tensor:
        """The row of ``x`` of each clip's negative."""
        assert self.negatives_B is not None, "set needs_negatives on a system that uses negatives"
        return x_BX[self.negatives_B]


@dataclass(frozen=True)
class Loss:
    """The loss of a training step.

    Attributes:
        terms: scalar terms, and their sum under ``total``.
        spikes: spikes of the batch.
    """

    terms: dict[str, Tensor]
    spikes: Spikes = NO_SPIKES


class System(nn.Module):
    """A model that the two-stage protocol can train and test.

    Attributes:
        needs_negatives: whether a batch must contain a negative for each clip.
        descends: whether training steps change the model; if not, :meth:`prepare` fits it.
    """

    needs_negatives: bool = True
    descends: bool = True

    def embed_clips(self, batch: Batch) -> Embedded:
        """Embed B clips."""
        raise NotImplementedError

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """Embed C classes, (C,E), given their word vectors."""
        raise NotImplementedError

    def loss(self, batch: TrainingBatch) -> Loss:
        """The loss of one training step; the trainer differentiates ``total``."""
        raise NotImplementedError

    def share(self) -> None:
        """Prepare for training steps that several processes share; only MDFT supports them."""
        raise NotImplementedError

    def distances(self, clips: Embedded, o_w_CE: Tensor) -> np.ndarray:
        """(B,C) float64: ``Σ_m w_m ‖o_m − o_w‖₂``; a clip is assigned to the nearest class.

        Args:
            clips: the output of :meth:`embed_clips`.
            o_w_CE: the output of :meth:`embed_words` for the candidates.
        """
        distances_RBC = np.stack([exact_distances(o_BE, o_w_CE) for o_BE in clips.o_BRE.unbind(1)])
        return np.einsum("bm,mbc->bc", clips.weight_BR.double().numpy(force=True), distances_RBC)

    @property
    def spiking(self) -> bool:
        """Whether the system has a spiking motion branch to calibrate and export."""
        return False

    def calibrate(self, batch: Batch) -> dict[str, list[float]]:
        """Data-dependent initialisation; does nothing by default.

        Args:
            batch: real clips.

        Returns:
            pathway → firing rate of each layer after calibration.
        """
        return {}

    def fit(self, clips: ClipSet, stage: Stage) -> None:
        """Fit what has a closed form, once before the first step; does nothing by default.

        Args:
            clips: the data set; clips of the stage's training split may be used.
            stage: the stage that begins.
        """

    def prepare(self, clips: ClipSet, stage: Stage, epoch: int) -> None:
        """A second phase of training, after every epoch and before scoring; empty by default.

        Args:
            clips: the data set; clips of the stage's training split may be used.
            stage: the stage, which also defines the candidates; their word vectors may be used.
            epoch: the epoch that was trained last, counted from 0.
        """


def joint(o_BE: Tensor, spikes: Spikes = NO_SPIKES) -> Embedded:
    """A single embedding per clip, R = 1.

    Args:
        o_BE: embeddings.
        spikes: spikes of the forward pass.
    """
    return Embedded(o_BE[:, None], o_BE.new_ones(len(o_BE), 1), spikes)


def summed(terms: dict[str, Tensor], spikes: Spikes = NO_SPIKES) -> Loss:
    """The loss that is the sum of these terms.

    Args:
        terms: scalar terms.
        spikes: spikes of the batch.
    """
    return Loss({**terms, "total": torch.stack(list(terms.values())).sum()}, spikes)


def exact_distances(o_av_BE: Tensor, o_w_CE: Tensor) -> np.ndarray:
    """(B,C) Euclidean distances in float64, without the cancellation of ``‖x‖² − 2xy + ‖y‖²``."""
    return torch.cdist(
        o_av_BE.double(), o_w_CE.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).numpy(force=True)
