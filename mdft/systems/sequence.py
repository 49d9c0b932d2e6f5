"""Plain networks over the sequence of a clip's features: a GRU and a transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import GRUConfig, SequenceConfig, TransformerConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.model.layers import masked_mean
from mdft.systems.blocks import TransformerBlock
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed


class SequenceNetwork(System):
    """``o = head(mean_t f(x)_t) / ‖·‖``, trained by a cross-entropy over the word vectors.

    A step x_t has the audio and the visual features. Clips and words are compared on the unit
    sphere, where the nearest word vector has the largest cosine.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    needs_negatives = False

    def __init__(self, widths: ModelConfig, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        features = widths.audio_features + widths.visual_features
        self.encoder = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(features, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.head = nn.Linear(config.hidden, widths.words)

    def states(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The state of the network after each step, (B,T,D)."""
        raise NotImplementedError

    def embed_clips(self, batch: Batch) -> Embedded:
        """A unit vector in the space of the words, (B,1,W)."""
        x_BTD = self.encoder(torch.cat([batch.audio_BTD, batch.visual_BTD], dim=-1))
        state_BD = masked_mean(self.states(x_BTD, batch.mask_BT), batch.mask_BT)
        return joint(F.normalize(self.head(state_BD)))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word vectors, scaled to unit length."""
        return F.normalize(words_CW)

    def loss(self, batch: TrainingBatch) -> Loss:
        """``−log softmax_y(o · w_y / τ)`` of the clip's class, mean over the batch."""
        o_BW = self.embed_clips(batch.clips).o_BRE[:, 0]
        logits_BC = o_BW @ self.embed_words(batch.words_CW).T / self.config.temperature
        return summed({"class": F.cross_entropy(logits_BC, batch.targets_B)})


class GRU(SequenceNetwork):
    """A gated recurrent network of one layer.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: GRUConfig) -> None:
        super().__init__(widths, config)
        self.gru = nn.GRU(config.hidden, config.hidden, batch_first=True)

    def states(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The hidden state after each step; padding follows the clip and cannot change it."""
        return self.gru(x_BTD)[0]


class Transformer(SequenceNetwork):
    """A transformer with sines and cosines of the step's number added to its input.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: TransformerConfig) -> None:
        super().__init__(widths, config)
        head = config.hidden // config.heads
        self.blocks = nn.ModuleList(
            TransformerBlock(config.hidden, config.heads, head, 2 * config.hidden, config.dropout)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.hidden)

    def states(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The output at each step; no step attends to padding."""
        x_BTD = x_BTD + positions(x_BTD.shape[1], x_BTD.shape[2]).to(x_BTD)
        allowed_BTT = mask_BT[:, None] | torch.eye(len(mask_BT[0]), dtype=torch.bool).to(mask_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, allowed_BTT.expand(-1, x_BTD.shape[1], -1))
        return self.norm(x_BTD)


def positions(steps: int, width: int) -> Tensor:
    """``sin(t / 10000^(2i/width))`` and cosines, (T, width) float64 (Vaswani et al., 2017).

    >>> positions(2, 2).tolist()[0]
    [0.0, 1.0]
    """
    rate_D = torch.exp(-math.log(10000) * torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle_TD = torch.arange(steps, dtype=torch.float64)[:, None] * rate_D
    return torch.stack([angle_TD.sin(), angle_TD.cos()], dim=-1).flatten(1)
