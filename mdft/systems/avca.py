"""AVCA: Mercea et al., CVPR 2022."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.config.baselines import AVCAConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.model.layers import Projection, norm_relu_block
from mdft.systems.blocks import TransformerBlock, averaged, triplet, two_branches
from mdft.systems.interface import NO_SPIKES, Embedded, Loss, Spikes, System, TrainingBatch, summed


@dataclass(frozen=True)
class Modalities:
    """The representations of both modalities, R = 2.

    Attributes:
        phi_BRD: φ, the encoded features before attention.
        theta_BRE: θ, the embeddings in the joint space.
        spikes: the spikes of the encoders.
    """

    phi_BRD: Tensor
    theta_BRE: Tensor
    spikes: Spikes


class AVCA(System):
    """Averaged audio and visual features as two tokens of a transformer, each then projected.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: AVCAConfig) -> None:
        super().__init__()
        self.config = c = config
        E, W, dim = c.joint, widths.words, c.dim
        self.audio_encoder = Projection(widths.audio_features, c.hidden, dim, c.dropout_encoder)
        self.visual_encoder = Projection(widths.visual_features, c.hidden, dim, c.dropout_encoder)
        self.position_MD = nn.Parameter(torch.randn(2, dim))
        self.transformer = nn.Sequential(
            *(
                TransformerBlock(dim, c.heads, c.head, c.mlp, c.dropout_encoder)
                for _ in range(c.layers)
            )
        )
        self.audio_projection = Projection(dim, c.hidden, E, c.dropout_projection)
        self.visual_projection = Projection(dim, c.hidden, E, c.dropout_projection)
        self.word_projection = norm_relu_block(W, E, c.dropout_words)
        self.decoder = norm_relu_block(E, W, c.dropout_words)
        self.audio_reconstruction = norm_relu_block(E, dim, c.dropout_words)
        self.visual_reconstruction = norm_relu_block(E, dim, c.dropout_words)

    def encode(self, batch: Batch) -> tuple[Tensor, Spikes]:
        """φ (B,R,D) of both modalities, and the spikes of the encoders."""
        audio_BD, visual_BD = averaged(batch)
        phi = self.audio_encoder(audio_BD), self.visual_encoder(visual_BD)
        return torch.stack(phi, dim=1), NO_SPIKES

    def modalities(self, batch: Batch) -> Modalities:
        """``θ_m = proj_m(φ_m + T(φ + pos)_m)`` for both modalities m."""
        phi_BRD, spikes = self.encode(batch)
        attended_BRD = phi_BRD + self.transformer(phi_BRD + self.position_MD)
        theta = (
            self.audio_projection(attended_BRD[:, 0]),
            self.visual_projection(attended_BRD[:, 1]),
        )
        return Modalities(phi_BRD, torch.stack(theta, dim=1), spikes)

    def embed_clips(self, batch: Batch) -> Embedded:
        """Embeddings of both modalities, (B,2,E)."""
        found = self.modalities(batch)
        audio_BE, visual_BE = found.theta_BRE.unbind(1)
        return two_branches(audio_BE, visual_BE, self.config.score, found.spikes)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word projection, (C,E)."""
        return self.word_projection(words_CW)

    def loss(self, batch: TrainingBatch) -> Loss:
        """Triplets around words, clips and decoded words, and squared errors.

        For each modality with θ, w = θ_w, ρ = decoder(θ) and ρ_w = decoder(w): four triplets
        ``(w,θ,θ⁻)``, ``(θ,w,w⁻)``, ``(θ,w,θ⁻)``, ``(w,θ,w⁻)`` as (anchor, positive, negative),
        one triplet ``(ρ_w,ρ,ρ⁻)``, and the errors of θ to w, of ρ to the word vector and of
        rec(θ) to φ. Once for both modalities: the error of ρ_w to the word vector.
        """
        found, margin = self.modalities(batch.clips), self.config.margin
        word_BW = batch.words_CW[batch.targets_B]
        w_CE = self.embed_words(batch.words_CW)
        w_BE, rho_w_BW = w_CE[batch.targets_B], self.decoder(w_CE)[batch.targets_B]
        w_other_BE = batch.negative(w_BE)
        terms = {"words_decoded": F.mse_loss(rho_w_BW, word_BW)}
        reconstructions = self.audio_reconstruction, self.visual_reconstruction
        for m, (name, reconstruct) in enumerate(
            zip(("audio", "visual"), reconstructions, strict=True)
        ):
            o_BE, phi_BD = found.theta_BRE[:, m], found.phi_BRD[:, m]
            other_BE, rho_BW = batch.negative(o_BE), self.decoder(o_BE)
            triplets_B = (
                triplet(w_BE, o_BE, other_BE, margin)
                + triplet(o_BE, w_BE, w_other_BE, margin)
                + triplet(o_BE, w_BE, other_BE, margin)
                + triplet(w_BE, o_BE, w_other_BE, margin)
            )
            decoded_B = triplet(rho_w_BW, rho_BW, batch.negative(rho_BW), margin)
            terms[f"{name}_triplets"] = triplets_B.mean()
            terms[f"{name}_decoded"] = decoded_B.mean() + F.mse_loss(rho_BW, word_BW)
            terms[f"{name}_alignment"] = F.mse_loss(o_BE, w_BE)
            terms[f"{name}_reconstruction"] = F.mse_loss(reconstruct(o_BE), phi_BD)
        return summed(terms, found.spikes)
