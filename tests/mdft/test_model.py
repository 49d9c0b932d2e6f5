"""The whole model: gradients everywhere, and no sample that knows of its neighbours."""

import dataclasses

import numpy as np
import pytest
import torch

from mdft.config import LossConfig, ModelConfig, MotionConfig
from mdft.data.clips import with_feature_events
from mdft.data.dataset import Batch, ClipSet
from mdft.losses import draw_negatives, total_loss
from mdft.model import MDFT, Output

SMALL = ModelConfig(dim=32, joint=16, heads=4)


def double(batch: Batch) -> Batch:
    floats = ("audio_BTD", "visual_BTD", "events_BTKD")
    return dataclasses.replace(batch, **{name: getattr(batch, name).double() for name in floats})


def trained_a_little(clips: ClipSet, config: ModelConfig = SMALL) -> MDFT:
    """A model whose batch norms have seen data, in float64 and eval mode."""
    torch.manual_seed(0)
    model = MDFT(config)
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    for _ in range(30):
        model(batch)
    return model.double().eval()


def loss_of(model: MDFT, batch: Batch, words_CW: torch.Tensor) -> tuple[torch.Tensor, Output]:
    output = model(batch)
    negatives_B = draw_negatives(batch.labels_B, torch.Generator().manual_seed(0))
    o_w_CE = model.embed_words(words_CW)
    terms = total_loss(
        output.o_av_BE, output.reconstructed_BW, o_w_CE, words_CW, batch.labels_B, negatives_B,
        LossConfig(),
    )  # fmt: skip
    return terms["total"], output


@pytest.mark.parametrize("mode", ["relative", "paper", "fixed"])
def test_every_parameter_receives_a_gradient(clips: ClipSet, mode):
    model = MDFT(dataclasses.replace(SMALL, motion=MotionConfig(threshold=mode)))
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    loss, _ = loss_of(model, batch, torch.from_numpy(clips.words_CW))
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_a_model_without_motion_has_no_spiking_parameter_and_every_gradient(clips: ClipSet):
    model = MDFT(dataclasses.replace(SMALL, motion=MotionConfig(enabled=False)))
    names = [n for n, _ in model.named_parameters()]
    assert not [n for n in names if "motion" in n or "dab" in n or "gate" in n]
    loss, output = loss_of(model, clips.batch(np.arange(48)), torch.from_numpy(clips.words_CW))
    loss.backward()
    assert output.spikes == {}
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_no_gradient_flows_into_the_events(clips: ClipSet):
    batch = clips.batch(np.arange(6))
    assert not batch.events_BTKD.requires_grad


def test_output_does_not_depend_on_batch_mates(clips: ClipSet):
    model = trained_a_little(clips)
    indices = np.array([3, 40, 77, 12, 90])
    together = model(double(clips.batch(indices)))
    for row, index in enumerate(indices):
        alone = model(double(clips.batch(np.array([index]))))
        torch.testing.assert_close(alone.o_av_BE[0], together.o_av_BE[row], rtol=0, atol=1e-12)
        for pathway in ("audio", "visual"):
            for one, many in zip(alone.spikes[pathway], together.spikes[pathway], strict=True):
                assert torch.equal(one[0], many[row])


def test_output_does_not_depend_on_padding(ragged_clips: ClipSet):
    model = trained_a_little(ragged_clips)
    short = int(np.flatnonzero(ragged_clips.seconds_N == 1)[0])
    long = int(np.flatnonzero(ragged_clips.seconds_N == 3)[0])
    alone = model(double(ragged_clips.batch(np.array([short]))))
    padded = double(ragged_clips.batch(np.array([short, long])))
    assert padded.mask_BT.tolist() == [[True, False, False], [True, True, True]]
    padded.audio_BTD[0, 1:] = padded.visual_BTD[0, 1:] = padded.events_BTKD[0, 1:] = 7.0
    torch.testing.assert_close(model(padded).o_av_BE[0], alone.o_av_BE[0], rtol=0, atol=1e-12)


def test_state_resets_between_samples(clips: ClipSet):
    model = trained_a_little(clips)
    batch = double(clips.batch(np.arange(10)))
    first, second = model(batch), model(batch)
    assert torch.equal(first.o_av_BE, second.o_av_BE)
    for pathway in ("audio", "visual"):
        assert torch.equal(first.spikes[pathway][-1], second.spikes[pathway][-1])


def test_pathways_share_no_weights(clips: ClipSet):
    model = MDFT(SMALL)
    audio = {id(p) for p in model.branch("audio").parameters()}
    assert not audio & {id(p) for p in model.branch("visual").parameters()}


def test_every_layer_fires_after_calibration(clips: ClipSet):
    model = trained_a_little(clips)
    output = model(double(clips.batch(np.arange(1, len(clips), 2))))
    for layers in output.spikes.values():
        for spikes in layers:
            assert 0.02 < spikes.mean() < 0.3


def test_calibration_leaves_batch_statistics_alone(clips: ClipSet):
    model = MDFT(SMALL)
    before = {n: b.clone() for n, b in model.named_buffers()}
    model.calibrate(clips.batch(np.arange(30)))
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())


def test_motion_inputs_lie_on_the_input_grid(clips: ClipSet):
    model = trained_a_little(clips)
    for pathway in model.motion_inputs(double(clips.batch(np.arange(10)))).values():
        sixteenths = pathway.x_BSD * 16
        assert torch.equal(sixteenths, sixteenths.round())
        assert sixteenths.abs().max() <= 255


def test_feature_events_reach_the_branch(clips: ClipSet):
    with_events = with_feature_events(clips, threshold=0.2)
    batch = with_events.batch(np.arange(10))
    assert batch.events_BTKD.shape == (10, 3, 1, 32)
    assert set(batch.events_BTKD.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert (batch.events_BTKD[:, 0] == 0).all()
    model = MDFT(SMALL).eval()
    assert model(batch).spikes["visual"][-1].shape == (10, 3, 32)
