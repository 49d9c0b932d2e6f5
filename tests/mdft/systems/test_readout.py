"""The readout in the word space: what is compared, and what the loss adds."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from mdft.config.model import LossConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.systems.interface import TrainingBatch
from mdft.systems.mdft import MDFTSystem
from tests.mdft.small import small_model

pytestmark = pytest.mark.rounding


def system(readout: str) -> MDFTSystem:
    torch.manual_seed(0)
    config = dataclasses.replace(small_model(), readout=readout)
    return MDFTSystem(config, LossConfig(temperature=0.1)).eval()


def cosines(model: MDFTSystem, batch: Batch, words_CW: Tensor) -> Tensor:
    """Of ``W F + b``, F the mean of the CRM's output, with every word vector, (B,C)."""
    semantics, inputs = model.semantics(batch), model.motion_inputs(batch)
    spikes = {
        p: model.branch(p)(x.x_BSD, threshold_current=x.current_BS1) for p, x in inputs.items()
    }
    assert model.word_head is not None
    rows_BW = model.word_head(model.reason(semantics, spikes, batch.mask_BT))
    return torch.cosine_similarity(rows_BW[:, None], words_CW[None], dim=-1)


def test_clips_and_words_are_compared_by_their_angle(clips: ClipSet):
    """The squared distance of unit vectors is 2 − 2 cos."""
    model, batch = system("words"), clips.batch(np.arange(8))
    words_CW = torch.from_numpy(clips.words_CW)
    found_BC = model.distances(model.embed_clips(batch), model.embed_words(words_CW))
    cosine_BC = cosines(model, batch, words_CW).detach().numpy()
    np.testing.assert_allclose(found_BC**2, 2 - 2 * cosine_BC, atol=1e-5)


def test_the_loss_adds_a_cross_entropy_over_the_words(clips: ClipSet):
    batch = clips.batch(np.arange(8))
    words_CW = torch.from_numpy(clips.words_CW)
    targets_B = torch.arange(8) % len(words_CW)
    training = TrainingBatch(batch, words_CW, targets_B, targets_B.roll(1))
    in_joint, in_words = system("joint"), system("words")
    before, after = in_joint.loss(training).terms, in_words.loss(training).terms
    logits_BC = cosines(in_words, batch, words_CW) / 0.1
    expected = torch.nn.functional.cross_entropy(logits_BC, targets_B)
    torch.testing.assert_close(after["words"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after["total"], before["total"] + expected, rtol=1e-4, atol=1e-5)
    assert set(after) == {*before, "words"}
