"""AVGZSLNet: Mazumder et al., WACV 2021."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.config.baselines import AVGZSLNetConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.model.losses import distance
from mdft.systems.blocks import averaged, perceptron, triplet, two_branches
from mdft.systems.interface import Embedded, Loss, System, TrainingBatch, summed


class AVGZSLNet(System):
    """Audio, visual and word embeddings in one space, with a decoder to word vectors.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: AVGZSLNetConfig) -> None:
        super().__init__()
        self.config = config
        E, W, hidden, dropout = config.joint, widths.words, config.hidden, config.dropout
        self.audio = perceptron(widths.audio_features, hidden, E, dropout)
        self.visual = perceptron(widths.visual_features, hidden, E, dropout)
        self.words = perceptron(W, W, E, dropout)
        self.decoder = perceptron(E, config.hidden_decoder, W, config.dropout_decoder)

    def embed_clips(self, batch: Batch) -> Embedded:
        """Embeddings of both modalities, (B,2,E)."""
        audio_BD, visual_BD = averaged(batch)
        return two_branches(self.audio(audio_BD), self.visual(visual_BD), self.config.score)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """The word projection, (C,E)."""
        return self.words(words_CW)

    def loss(self, batch: TrainingBatch) -> Loss:
        """Triplets in the joint space, and errors and triplets of the decoded word vectors."""
        audio_BD, visual_BD = averaged(batch.clips)
        a_BE, v_BE = self.audio(audio_BD), self.visual(visual_BD)
        word_BW = batch.words_CW[batch.targets_B]
        w_BE, margin = self.words(batch.words_CW)[batch.targets_B], self.config.margin
        a_BW, v_BW, w_BW = (F.normalize(self.decoder(o_BE)) for o_BE in (a_BE, v_BE, w_BE))
        errors = [distance(x_BW, word_BW).mean() for x_BW in (a_BW, v_BW, w_BW)]
        terms = {"reconstruction": torch.stack(errors).sum()}
        for name, o_BE, o_BW in (("audio", a_BE, a_BW), ("visual", v_BE, v_BW)):
            word_to_clip_B = triplet(w_BE, o_BE, batch.negative(o_BE), margin)
            clip_to_word_B = triplet(o_BE, w_BE, batch.negative(w_BE), margin)
            decoded_B = triplet(w_BW, o_BW, batch.negative(o_BW), margin)
            terms[f"{name}_triplets"] = (word_to_clip_B + clip_to_word_B).mean()
            terms[f"{name}_decoded"] = decoded_B.mean()
        return summed(terms)
