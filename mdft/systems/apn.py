"""APN: Xu et al., Attribute Prototype Network, NeurIPS 2020, on extracted features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import APNConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.systems.blocks import concatenated
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed

#: Weights are initialised uniformly between 0 and this value.
START = 2e-4


class APN(System):
    """Maps features to attributes with two linear maps, the base module and the prototypes.

    An attribute is an entry of the word vector. Feature vectors have no spatial positions to
    attend to and no image encoder that the prototypes could train, so that only the base module
    is used for scoring.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    needs_negatives = False

    def __init__(self, widths: ModelConfig, config: APNConfig) -> None:
        super().__init__()
        self.config = config
        shape = (widths.words, widths.audio_features + widths.visual_features)
        self.base_WF = nn.Parameter(START * torch.rand(shape))
        self.prototypes_WF = nn.Parameter(START * torch.rand(shape))

    def embed_clips(self, batch: Batch) -> Embedded:
        """Attributes by the base module, (B,1,W)."""
        return joint(concatenated(batch, normalise=self.config.normalise) @ self.base_WF.T)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word vectors themselves."""
        return words_CW

    def loss(self, batch: TrainingBatch) -> Loss:
        """Per module the cross-entropy of ``attributes · w_y`` and squared error to ``w_y``."""
        x_BF = concatenated(batch.clips, normalise=self.config.normalise)
        terms = {}
        for name, weight_WF in (("base", self.base_WF), ("prototypes", self.prototypes_WF)):
            attributes_BW = x_BF @ weight_WF.T
            logits_BC = attributes_BW @ batch.words_CW.T
            terms[f"{name}_class"] = F.cross_entropy(logits_BC, batch.targets_B)
            own_BW = batch.words_CW[batch.targets_B]
            terms[f"{name}_attributes"] = F.mse_loss(attributes_BW, own_BW)
        return summed(terms)
