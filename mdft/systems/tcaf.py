"""TCaF: Mercea et al., Temporal and Cross-modal Attention, ECCV 2022."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import TCaFConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.data.feature_bins import CHANNELS
from mdft.errors import UserError
from mdft.model.layers import Projection, norm_relu_block
from mdft.systems.blocks import TransformerBlock
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed


class TimeEmbedding(nn.Module):
    """Sines and cosines of random frequencies, followed by a linear map.

    The published code projects the pair (t, t), so that a frequency is the sum of two numbers.

    Args:
        width: width of the embedding, an even number.
        scale: standard deviation of each of the two numbers, in cycles per second.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(2, width // 2).sum(0))
        self.linear = nn.Linear(width, width)

    def forward(self, seconds_T: Tensor) -> Tensor:
        """Embed times in seconds, (T,width)."""
        angle = 2 * math.pi * seconds_T[:, None] * self.frequencies
        return self.linear(torch.cat([angle.sin(), angle.cos()], dim=-1))


class TCaF(System):
    """A transformer over all seconds of both modalities and a class token, across modalities only.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    needs_negatives = False

    def __init__(self, widths: ModelConfig, config: TCaFConfig) -> None:
        super().__init__()
        self.config = c = config
        E, W, dim = c.joint, widths.words, c.dim
        wide = widths.visual_features + (c.bins - 1) * CHANNELS
        features = {"audio": widths.audio_features, "visual": wide}
        self.encoders = nn.ModuleDict(
            {m: Projection(f, c.hidden, dim, c.dropout_encoder) for m, f in features.items()}
        )
        self.modality = nn.ParameterDict({m: torch.randn(c.place) for m in features})
        self.time = TimeEmbedding(c.place, c.time_scale)
        self.tokens = nn.ModuleDict(
            {
                m: nn.Sequential(nn.Linear(dim + c.place, dim), nn.Dropout(c.dropout_place))
                for m in features
            }
        )
        self.class_token_D = nn.Parameter(torch.randn(dim))
        self.transformer = nn.ModuleList(
            TransformerBlock(dim, c.heads, c.head, c.mlp, c.dropout_transformer)
            for _ in range(c.layers)
        )
        self.projection = Projection(dim, c.hidden, E, c.dropout_projection)
        self.decoder = Projection(E, c.hidden, W, c.dropout_projection)
        self.word_projection = norm_relu_block(W, E, c.dropout_words)
        self.word_decoder = norm_relu_block(E, W, c.dropout_words)

    def embed_clips(self, batch: Batch) -> Embedded:
        """The projected output of the class token, (B,1,E)."""
        audio_BTD, visual_BTD, mask_BT = by_seconds(batch, self.config.bins)
        parts = []
        for m, x_BTD in (("audio", audio_BTD), ("visual", visual_BTD)):
            if self.config.normalise == "published":
                x_BTD = x_BTD / 255 if m == "audio" else F.normalize(x_BTD, dim=1)
            parts.append(self._tokens(m, x_BTD, mask_BT))
        class_B1D = self.class_token_D.expand(len(mask_BT), 1, -1)
        x_BLD, allowed_BLL = torch.cat([class_B1D, *parts], dim=1), across(mask_BT)
        for block in self.transformer:
            x_BLD = block(x_BLD, allowed_BLL)
        return joint(self.projection(x_BLD[:, 0]))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word projection, (C,E)."""
        return self.word_projection(words_CW)

    def loss(self, batch: TrainingBatch) -> Loss:
        """``CE_y(o · w_y) + MSE(o, w) + MSE(D_o(o), word) + MSE(D_w(w), word)``.

        The cross-entropy is over all classes of the stage's training split.
        """
        o_BE = self.embed_clips(batch.clips).o_BRE[:, 0]
        o_w_CE = self.embed_words(batch.words_CW)
        word_BW = batch.words_CW[batch.targets_B]
        decoded_BW = self.word_decoder(o_w_CE)[batch.targets_B]
        return summed(
            {
                "class": F.cross_entropy(o_BE @ o_w_CE.T, batch.targets_B),
                "alignment": F.mse_loss(o_BE, o_w_CE[batch.targets_B]),
                "clip_decoded": F.mse_loss(self.decoder(o_BE), word_BW),
                "words_decoded": F.mse_loss(decoded_BW, word_BW),
            }
        )

    def _tokens(self, modality: str, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """One token per second, (B,T,D); attention masks those of seconds that do not exist."""
        encoded = self.encoders[modality](x_BTD[mask_BT])  # padding never enters a batch norm
        encoded_BTD = encoded.new_zeros(*mask_BT.shape, encoded.shape[-1])
        encoded_BTD = encoded_BTD.masked_scatter(mask_BT[..., None], encoded)
        seconds_T = torch.arange(mask_BT.shape[1], device=x_BTD.device).to(encoded)
        place_TP = self.time(seconds_T) + self.modality[modality]
        place_BTP = place_TP.expand(len(mask_BT), -1, -1)
        return self.tokens[modality](torch.cat([encoded_BTD, place_BTP], dim=-1))


def by_seconds(batch: Batch, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Audio (B,T,A) and visual features (B,T,V) and the mask (B,T) of the seconds of clips.

    Args:
        batch: clips whose steps are event bins: the last 512 visual features are E_v, all others
            are those of the second.
        bins: event bins K of a second, whose E_v are beside each other in the result, V is then
            larger by (K − 1)·512; 1: a step is a second already.

    Raises:
        UserError: the steps are not whole seconds of so many bins.
    """
    audio_BSA, visual_BSV, mask_BS = batch.audio_BTD, batch.visual_BTD, batch.mask_BT
    if mask_BS.shape[1] % bins:
        raise UserError(
            f"--baseline.tcaf.bins is {bins}, expected a divisor of a clip's {mask_BS.shape[1]} "
            "steps: the event bins of a second with --inputs features+events, else 1"
        )
    if bins == 1:
        return audio_BSA, visual_BSV, mask_BS
    events_BTE = visual_BSV[..., -CHANNELS:].unflatten(1, (-1, bins)).flatten(2)
    visual_BTV = torch.cat([visual_BSV[:, ::bins, :-CHANNELS], events_BTE], dim=2)
    return audio_BSA[:, ::bins], visual_BTV, mask_BS[:, ::bins]


def across(mask_BT: Tensor) -> Tensor:
    """Mask (B,L,L) of allowed attention for a class token and T tokens of each modality.

    A token attends to the seconds of the other modality that exist, and to the class token; the
    class token attends to all tokens that exist.

    Args:
        mask_BT: bool, True where the second exists.
    """
    T = mask_BT.shape[1]
    kind_L = torch.tensor([0] + T * [1] + T * [2], device=mask_BT.device)
    exists_BL = torch.cat([torch.ones_like(mask_BT[:, :1]), mask_BT, mask_BT], dim=1)
    crosses_LL = (kind_L[:, None] != kind_L) | (kind_L == 0)
    return crosses_LL & exists_BL[:, None, :]
