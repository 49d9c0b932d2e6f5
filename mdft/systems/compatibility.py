"""Bilinear compatibility of features and words: the baselines SJE and DeViSE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import CompatibilityConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.systems.blocks import concatenated
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed


class Compatibility(System):
    """``F(x, y) = xᵀ M w_y`` on averaged, concatenated features of both modalities.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    needs_negatives = False

    def __init__(self, widths: ModelConfig, config: CompatibilityConfig) -> None:
        super().__init__()
        self.config = config
        features = widths.audio_features + widths.visual_features
        self.map = nn.Linear(features, widths.words, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def embed_clips(self, batch: Batch) -> Embedded:
        """``xᵀ M`` (B,1,W)."""
        return joint(self._project(batch))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word vectors themselves."""
        return words_CW

    def distances(self, clips: Embedded, o_w_CE: Tensor) -> np.ndarray:
        """``‖xᵀ M − w_y‖₂``, or ``−F(x, y)`` with ``score = "compatibility"``."""
        if self.config.score == "euclidean":
            return super().distances(clips, o_w_CE)
        return -(clips.o_BRE[:, 0].double() @ o_w_CE.double().T).numpy(force=True)

    def hinges(self, batch: TrainingBatch) -> Tensor:
        """``[γ + F(x, y) − F(x, y_x)]₊`` for every wrong class y of the stage, (B,C)."""
        score_BC = self._project(batch.clips) @ self.dropout(batch.words_CW).T
        own_B1 = batch.targets_B[:, None]
        hinge_BC = F.relu(self.config.margin + score_BC - score_BC.gather(1, own_B1))
        return torch.scatter(hinge_BC, 1, own_B1, 0.0)

    def _project(self, batch: Batch) -> Tensor:
        return self.map(self.dropout(concatenated(batch, normalise=self.config.normalise)))


class SJE(Compatibility):
    """Structured joint embedding: the loss uses only the most violating class.

    Akata et al., Evaluation of Output Embeddings for Fine-Grained Image Classification, CVPR 2015.
    """

    def loss(self, batch: TrainingBatch) -> Loss:
        """``max_y [γ + F(x, y) − F(x, y_x)]₊``, mean over the batch."""
        return summed({"hinge": self.hinges(batch).amax(1).mean()})


class DeViSE(Compatibility):
    """Deep visual-semantic embedding: the loss sums over all violating classes.

    Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, NeurIPS 2013.
    """

    def loss(self, batch: TrainingBatch) -> Loss:
        """``Σ_y [γ + F(x, y) − F(x, y_x)]₊``, mean over the batch."""
        return summed({"hinge": self.hinges(batch).sum(1).mean()})
