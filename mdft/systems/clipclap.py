"""ClipClap: Kurzendörfer et al., Audio-Visual GZSL using Large Multi-Modal Models, 2024."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mdft.config.baselines import ClipClapConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.model.layers import Projection, norm_relu_block
from mdft.systems.blocks import concatenated
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, joint, summed


class ClipClap(System):
    """Averaged features of both modalities and both text embeddings, in feed-forward networks.

    Args:
        widths: the widths of the data; words are CLIP's text embedding beside CLAP's.
        config: hyperparameters.
    """

    needs_negatives = False

    def __init__(self, widths: ModelConfig, config: ClipClapConfig) -> None:
        super().__init__()
        c, E, dim = config, config.joint, config.dim
        features = widths.audio_features + widths.visual_features
        self.encoder = norm_relu_block(features, dim, c.dropout_encoder)
        self.word_encoder = norm_relu_block(widths.words, dim, c.dropout_encoder)
        self.projection = Projection(dim, c.hidden, E, c.dropout_projection)
        self.decoder = Projection(E, c.hidden, dim, c.dropout_projection)
        self.word_projection = norm_relu_block(dim, E, c.dropout_words)
        self.word_decoder = norm_relu_block(E, dim, c.dropout_words)

    def embed_clips(self, batch: Batch) -> Embedded:
        """θ_o: the projection of the encoded features, (B,1,E)."""
        return joint(self.projection(self.encoder(concatenated(batch))))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """θ_w: the projection of the encoded text embeddings, (C,E)."""
        return self.word_projection(self.word_encoder(words_CW))

    def loss(self, batch: TrainingBatch) -> Loss:
        """``CE_y(θ_o · θ_w) + MSE(θ_o, θ_w) + MSE(D_o(θ_o), w) + MSE(D_w(θ_w), w)``.

        w is the encoded text embedding of a clip's class. The cross-entropy is over all classes of
        the stage's training split.
        """
        o_BE = self.embed_clips(batch.clips).o_BRE[:, 0]
        encoded_CD = self.word_encoder(batch.words_CW)
        o_w_CE = self.word_projection(encoded_CD)
        own_BD, decoded_CD = encoded_CD[batch.targets_B], self.word_decoder(o_w_CE)
        return summed(
            {
                "class": F.cross_entropy(o_BE @ o_w_CE.T, batch.targets_B),
                "alignment": F.mse_loss(o_BE, o_w_CE[batch.targets_B]),
                "clip_decoded": F.mse_loss(self.decoder(o_BE), own_BD),
                "words_decoded": F.mse_loss(decoded_CD[batch.targets_B], own_BD),
            }
        )
