"""Modules and functions that several baselines share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import Branches
from mdft.data.dataset import Batch, ClipSet
from mdft.model.layers import masked_mean
from mdft.model.losses import distance
from mdft.systems.interface import NO_SPIKES, Embedded, Spikes

#: Weights of (audio, visual) in a distance.
SHARES: dict[Branches, tuple[float, float]] = {
    "audio": (1.0, 0.0),
    "visual": (0.0, 1.0),
    "both": (1.0, 1.0),
}


def averaged(batch: Batch) -> tuple[Tensor, Tensor]:
    """Audio and visual features (B,D), each the mean over the seconds that exist."""
    audio_BD = masked_mean(batch.audio_BTD, batch.mask_BT)
    return audio_BD, masked_mean(batch.visual_BTD, batch.mask_BT)


def concatenated(batch: Batch, *, normalise: bool = False) -> Tensor:
    """Averaged features of both modalities, concatenated, (B,F).

    Args:
        batch: the clips.
        normalise: whether to scale each vector to unit length.
    """
    x_BF = torch.cat(averaged(batch), dim=1)
    return F.normalize(x_BF) if normalise else x_BF


def of_clips(
    function: Callable[[Batch], Tensor],
    clips: ClipSet,
    indices: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """A function of every clip, (N, …), which is computed in batches.

    Args:
        function: a batch → (B, …).
        clips: the data set.
        indices: the clips.
        device: where the function's input is.
    """
    return np.concatenate(
        [function(b.to(device)).numpy(force=True) for b in clips.batches(indices)]
    )


def triplet(anchor_BE: Tensor, positive_BE: Tensor, negative_BE: Tensor, margin: float) -> Tensor:
    """``[γ + ‖anchor − positive‖₂ − ‖anchor − negative‖₂]₊`` of each clip, (B,).

    Args:
        anchor_BE: anchors.
        positive_BE: embeddings that should be near the anchors.
        negative_BE: embeddings that should be far from the anchors.
        margin: γ.
    """
    near_B, far_B = distance(anchor_BE, positive_BE), distance(anchor_BE, negative_BE)
    return F.relu(margin + near_B - far_B)


def two_branches(
    audio_BE: Tensor, visual_BE: Tensor, score: Branches, spikes: Spikes = NO_SPIKES
) -> Embedded:
    """Embeddings of both modalities with their weights in a distance.

    Args:
        audio_BE: audio embeddings.
        visual_BE: visual embeddings.
        score: the modalities that a distance includes.
        spikes: spikes of the forward pass.
    """
    weight_BR = audio_BE.new_tensor(SHARES[score]).expand(len(audio_BE), 2)
    return Embedded(torch.stack([audio_BE, visual_BE], dim=1), weight_BR, spikes)


def perceptron(width_in: int, hidden: int, width_out: int, dropout: float) -> nn.Sequential:
    """Linear → BatchNorm → ReLU → Dropout → Linear.

    Args:
        width_in: width of the input.
        hidden: width of the hidden layer.
        width_out: width of the output.
        dropout: dropout probability of the hidden layer.
    """
    return nn.Sequential(
        nn.Linear(width_in, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width_out),
    )


class TransformerBlock(nn.Module):
    """``x ← x + SA(LN(x))``, ``x ← x + MLP(LN(x))``, with heads of any width and without qkv bias.

    Args:
        dim: width of the tokens.
        heads: number of heads.
        head: width of a head.
        hidden: width of the MLP.
        dropout: dropout probability of both outputs and inside the MLP.
    """

    def __init__(self, dim: int, heads: int, head: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * heads * head, bias=False)
        self.out = nn.Sequential(nn.Linear(heads * head, dim), nn.Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x_BLD: Tensor, allowed_BLL: Tensor | None = None) -> Tensor:
        """Apply attention and the MLP.

        Args:
            x_BLD: L tokens.
            allowed_BLL: bool, [b,i,j] is True where token i may attend to token j; None: all.
        """
        qkv = self.query_key_value(self.norm(x_BLD)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, L, head)
        mask = None if allowed_BLL is None else allowed_BLL[:, None]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x_BLD = x_BLD + self.out(seen.transpose(1, 2).flatten(2))
        return x_BLD + self.mlp(x_BLD)
