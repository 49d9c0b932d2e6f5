"""float64, float32 and bfloat16 autocast: what moves, and that what decides spikes does not."""

import numpy as np
import pytest
import torch

from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.lif.grid import GRID_MAX, INPUT_GRID, INPUT_MAX
from mdft.model.losses import distance
from mdft.model.mdft import MDFT
from tests.mdft.small import double, small_model

pytestmark = pytest.mark.rounding


def trained(clips: ClipSet) -> MDFT:
    torch.manual_seed(0)
    model = MDFT(small_model(motion=MotionConfig(rate=0.12)))
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    for _ in range(20):
        model(batch)
    return model.eval()


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def test_under_autocast_the_branch_is_given_and_gives_float32(ragged_clips: ClipSet):
    model, batch = trained(ragged_clips), ragged_clips.batch(np.arange(40))
    with autocast():
        inputs = model.motion_inputs(batch)
        output = model(batch)
    for given in inputs.values():
        assert given.x_BSD.dtype == given.current_BS1.dtype == torch.float32
    assert all(s.dtype == torch.float32 for layers in output.spikes.values() for s in layers)
    assert model.audio_encoder(batch.audio_BTD, batch.mask_BT).dtype == torch.float32
    with autocast():  # the dense stream is what autocast is for
        assert model.semantics(batch).a_BTD.dtype == torch.bfloat16


def test_the_same_inputs_give_the_same_spikes_under_autocast(ragged_clips: ClipSet):
    model, batch = trained(ragged_clips), ragged_clips.batch(np.arange(40))
    for pathway, given in model.motion_inputs(batch).items():
        expected = model.branch(pathway).trace(given.x_BSD, threshold_current=given.current_BS1)
        with autocast():
            found = model.branch(pathway).trace(given.x_BSD, threshold_current=given.current_BS1)
        for (s, u), (s_cast, u_cast) in zip(expected, found, strict=True):
            assert 0.02 < s.mean() < 0.5
            assert torch.equal(s, s_cast)
            assert torch.equal(u, u_cast)


def test_training_under_autocast_gives_finite_gradients_everywhere(ragged_clips: ClipSet):
    model, batch = trained(ragged_clips).train(), ragged_clips.batch(np.arange(40))
    words = torch.from_numpy(ragged_clips.words_CW)
    with autocast():
        output = model(batch)
        loss = distance(output.o_av_BE, model.embed_words(words)[batch.labels_B]).mean()
        loss = loss + (output.reconstructed_BW - words[batch.labels_B]).square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.any(), name


def test_what_the_branch_multiplies_has_eight_bits(ragged_clips: ClipSet):
    """bfloat16 holds 8 bits and TF32 eleven: on tensor cores, too, the products are exact."""
    model, batch = trained(ragged_clips), ragged_clips.batch(np.arange(40))
    for pathway, given in model.motion_inputs(batch).items():
        assert torch.equal(given.x_BSD.bfloat16().float(), given.x_BSD)
        for weight_NF, _ in model.branch(pathway).grid_parameters():
            assert torch.equal(weight_NF.bfloat16().float(), weight_NF)
    # The largest sum of 512 products and a bias, in their unit, has no more than float32's 24 bits.
    assert 512 * GRID_MAX * INPUT_MAX + GRID_MAX / INPUT_GRID < 2**24


def test_float32_and_float64_agree(ragged_clips: ClipSet):
    """The dense stream to rounding; the threshold, rounded to its grid, can move one step.

    Seeds 0 to 5 gave medians, and maxima, of 1e-6, the smallest that ``distance`` returns.
    """
    model, batch = trained(ragged_clips), ragged_clips.batch(np.arange(40))
    single = model.motion_inputs(batch)
    spikes = {
        p: model.branch(p).spikes(x.x_BSD, threshold_current=x.current_BS1)
        for p, x in single.items()
    }
    model.double()
    for p, x in single.items():
        again = model.branch(p).spikes(x.x_BSD.double(), threshold_current=x.current_BS1.double())
        for layer, layer_64 in zip(spikes[p], again, strict=True):
            assert torch.equal(layer.double(), layer_64)
    embedded = model.float()(batch).o_av_BE
    exact = model.double()(double(batch)).o_av_BE
    assert distance(embedded.double(), exact).median() < 1e-3
