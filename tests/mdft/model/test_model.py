"""The whole model: gradients everywhere, and no sample that knows of its neighbours."""

import dataclasses

import numpy as np
import pytest
import torch

from mdft.config.model import LossConfig, ModelConfig, MotionConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.standardise import with_feature_events
from mdft.model.health import firing_rates
from mdft.model.losses import total_loss
from mdft.model.mdft import MDFT, Output
from mdft.training.sampler import draw_negatives
from tests.mdft.small import double, small_model

pytestmark = pytest.mark.rounding

SMALL = small_model(motion=MotionConfig(rate=0.12))


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
        firing_rates(output.spikes, batch.mask_BT).values(), LossConfig(),
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


@pytest.mark.parametrize("pathway", ["audio", "visual"])
def test_motion_inputs_step_by_step(clips: ClipSet, pathway: str):
    """Equations (6) and (7) and the threshold current, wired by hand in plain loops."""
    model = trained_a_little(clips)
    batch = double(clips.batch(np.arange(0, 40, 5)))
    T, K = batch.events_BTKD.shape[1:3]
    assert not torch.equal(batch.events_BTKD[:, :, 0], batch.events_BTKD[:, :, 1])
    given = model.motion_inputs(batch)[pathway]
    semantics = model.semantics(batch)
    beta_a = model.dab.beta.item()
    for b in range(len(batch.labels_B)):
        previous = 0.0
        for t in range(T):
            a, S = (x[b, t].detach().numpy() for x in (semantics.a_BTD, semantics.S_BTD))
            bins_KD = batch.events_BTKD[b, t].numpy()
            E_v = bins_KD.mean(0)
            E_a = a + 1 - np.exp(-(((E_v - a) / beta_a) ** 2))
            E = E_a if pathway == "audio" else E_v
            n = np.exp(S) / np.exp(S).sum()
            omega = (n * np.log(1 / n + np.abs(E))).sum() / np.log(len(S))
            theta = np.clip(1 / (1 + np.exp(-S.mean())) + omega, 0.5, 2.0)
            assert given.theta_BT1[b, t, 0].item() == pytest.approx(theta)
            delta = round((theta - 1.0) * 64) / 64
            for k in range(K):
                row = E_a if pathway == "audio" else bins_KD[k]
                expected = np.clip(np.round(row * 16), -255, 255) / 16
                np.testing.assert_array_equal(given.x_BSD[b, t * K + k].detach(), expected)
                current = 0.5 * previous - delta
                assert given.current_BS1[b, t * K + k, 0].item() == current
                previous = delta


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


def test_padding_does_not_enter_the_initialisation(clips: ClipSet):
    batch = double(clips.batch(np.arange(0, len(clips), 3)))
    models = []
    for padding in (0, 2):
        torch.manual_seed(0)
        model = MDFT(dataclasses.replace(SMALL, dropout_encoder=0.0)).double()
        padded = {
            name: torch.nn.functional.pad(
                getattr(batch, name), (0, 0) * (getattr(batch, name).ndim - 2) + (0, padding)
            )
            for name in ("audio_BTD", "visual_BTD", "events_BTKD", "mask_BT")
        }
        model.calibrate(dataclasses.replace(batch, **padded))
        models.append(model)
    for one, other in zip(*(m.motion.parameters() for m in models), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
