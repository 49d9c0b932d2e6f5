"""CJME: Parida et al., Coordinated Joint Multimodal Embeddings, WACV 2020."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from mdft.config.baselines import CJMEConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.systems.blocks import averaged, perceptron, triplet
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, summed


class CJME(System):
    """Audio, visual and word embeddings in one space, and an attention over the modalities.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: CJMEConfig) -> None:
        super().__init__()
        self.config = config
        E, hidden, dropout = config.joint, config.hidden, config.dropout
        features = widths.audio_features + widths.visual_features
        self.audio = nn.Sequential(perceptron(widths.audio_features, hidden, E, dropout), nn.ReLU())
        self.visual = nn.Sequential(
            perceptron(widths.visual_features, hidden, E, dropout), nn.ReLU()
        )
        self.words = nn.Sequential(perceptron(widths.words, widths.words, E, dropout), nn.ReLU())
        self.attention = nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, 1))

    def embed_clips(self, batch: Batch) -> Embedded:
        """Embeddings of both modalities (B,2,E), with the weight of each."""
        audio_BE, visual_BE, share_B = self._embed(batch)
        if self.config.attention == "hard":
            share_B = (share_B >= 0.5).to(share_B)
        weight_BR = torch.stack([1 - share_B, share_B], dim=1)
        return Embedded(torch.stack([audio_BE, visual_BE], dim=1), weight_BR)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word projection, (C,E)."""
        return self.words(words_CW)

    def loss(self, batch: TrainingBatch) -> Loss:
        """``(1 − α) l_ta + α l_tv + MSE(a, v) + MSE(α, α*)``, where α is the visual weight."""
        audio_BE, visual_BE, share_B = self._embed(batch.clips)
        o_w_CE = self.embed_words(batch.words_CW)
        o_w_BE, margin = o_w_CE[batch.targets_B], self.config.margin
        ta_B = triplet(o_w_BE, audio_BE, batch.negative(audio_BE), margin)
        tv_B = triplet(o_w_BE, visual_BE, batch.negative(visual_BE), margin)
        wanted_B = self.preference(audio_BE.detach(), visual_BE.detach(), o_w_CE.detach())
        return summed(
            {
                "triplet": ((1 - share_B) * ta_B + share_B * tv_B).mean(),
                "modalities": F.mse_loss(audio_BE, visual_BE),
                "attention": F.mse_loss(share_B, wanted_B),
            }
        )

    def preference(self, audio_BE: Tensor, visual_BE: Tensor, o_w_CE: Tensor) -> Tensor:
        """Target weight α* (B,): 1 if the visual modality is more certain, 0 if audio is, else 1/2.

        More certain: ``H(softmax_y(o · w_y))`` is lower by more than ``indifference``.
        """
        audio_B, visual_B = (
            Categorical(logits=o_BE @ o_w_CE.T).entropy() for o_BE in (audio_BE, visual_BE)
        )
        gain_B, epsilon = audio_B - visual_B, self.config.indifference
        return 0.5 + 0.5 * (gain_B > epsilon).to(gain_B) - 0.5 * (gain_B < -epsilon).to(gain_B)

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        audio_BD, visual_BD = averaged(batch)
        share_B1 = torch.sigmoid(self.attention(torch.cat([audio_BD, visual_BD], dim=1)))
        return self.audio(audio_BD), self.visual(visual_BD), share_B1[:, 0]
