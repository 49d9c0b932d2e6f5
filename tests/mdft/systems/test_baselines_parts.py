"""The baselines' parts against loops, torch's own losses and their papers' equations."""

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mdft.config.baselines import BaselinesConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES, Stage
from mdft.data.standardise import with_events_as_features
from mdft.errors import UserError
from mdft.systems.apn import APN
from mdft.systems.avca import AVCA
from mdft.systems.avgzslnet import AVGZSLNet
from mdft.systems.avmst import AVMST, SpikingEncoder
from mdft.systems.blocks import averaged, concatenated
from mdft.systems.build import BASELINES, adam, build
from mdft.systems.cjme import CJME
from mdft.systems.clipclap import ClipClap
from mdft.systems.compatibility import Compatibility
from mdft.systems.fvaegan import FVAEGAN
from mdft.systems.interface import System, TrainingBatch, exact_distances
from mdft.systems.tcaf import TCaF, across, by_seconds
from tests.mdft.small_baselines import system_config, training_batch_of

pytestmark = pytest.mark.rounding

SOME = np.arange(0, 64, 4)
TRIPLET = nn.TripletMarginLoss(margin=1.0)


@pytest.fixture
def batch(ragged_clips: ClipSet) -> TrainingBatch:
    return training_batch_of(ragged_clips, SOME)


S = TypeVar("S", bound=System)


def system(name: str, kind: type[S], **changes: Any) -> S:
    found = build(system_config(name, **changes)).eval()
    assert isinstance(found, kind)
    return found


def test_averaged_features_by_hand(ragged_clips: ClipSet):
    audio_BD, visual_BD = averaged(ragged_clips.batch(SOME))
    for row, clip in enumerate(SOME):
        first, last = ragged_clips.offsets_N1[clip : clip + 2]
        expected = ragged_clips.audio_MD[first:last].mean(0)
        np.testing.assert_allclose(audio_BD[row].numpy(), expected, rtol=1e-5, atol=1e-6)
        expected = ragged_clips.visual_MD[first:last].mean(0)
        np.testing.assert_allclose(visual_BD[row].numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sje", "devise"])
def test_sje_takes_the_worst_class_and_devise_all(batch: TrainingBatch, name: str):
    found = system(name, Compatibility, margin=0.3)
    total = 0.0
    for row, x_F in enumerate(concatenated(batch.clips)):
        score = [float(found.map(x_F).detach() @ w) for w in batch.words_CW]
        own = int(batch.targets_B[row])
        hinges = [max(0.0, 0.3 + s - score[own]) for c, s in enumerate(score) if c != own]
        total += max(hinges) if name == "sje" else sum(hinges)
    expected = total / len(batch.targets_B)
    assert found.loss(batch).terms["total"].item() == pytest.approx(expected, rel=1e-4)


def test_compatibility_scores_by_its_product(batch: TrainingBatch):
    found = system("sje", Compatibility, score="compatibility")
    clips, words_CW = found.embed_clips(batch.clips), batch.words_CW
    expected = -(clips.o_BRE[:, 0] @ words_CW.T).detach().numpy()
    np.testing.assert_allclose(found.distances(clips, words_CW), expected, rtol=1e-4, atol=1e-5)


def test_apn_by_hand(batch: TrainingBatch):
    found = system("apn", APN)
    with torch.no_grad():
        found.base_WF.normal_()
        found.prototypes_WF.normal_()
    x_BF, own_BW = concatenated(batch.clips), batch.words_CW[batch.targets_B]
    expected = 0.0
    for weight_WF in (found.base_WF, found.prototypes_WF):
        attributes_BW = x_BF @ weight_WF.T
        share_BC = (attributes_BW @ batch.words_CW.T).softmax(1)
        expected -= share_BC.gather(1, batch.targets_B[:, None]).log().mean()
        expected += ((attributes_BW - own_BW) ** 2).mean()
    torch.testing.assert_close(found.loss(batch).terms["total"], expected)


def test_cjme_prefers_the_surer_modality():
    found = system("cjme", CJME, indifference=0.1)
    words_CE = torch.eye(3)
    sure_E, unsure_E = torch.tensor([9.0, 0, 0]), torch.tensor([0.5, 0.5, 0.5])
    audio_BE = torch.stack([unsure_E, sure_E, sure_E])
    visual_BE = torch.stack([sure_E, unsure_E, sure_E])
    assert found.preference(audio_BE, visual_BE, words_CE).tolist() == [1.0, 0.0, 0.5]


def test_cjme_by_hand(batch: TrainingBatch):
    found = system("cjme", CJME)
    clips, w_CE = found.embed_clips(batch.clips), found.embed_words(batch.words_CW)
    a_BE, v_BE = clips.o_BRE.unbind(1)
    share_B = torch.sigmoid(found.attention(concatenated(batch.clips)))[:, 0]
    assert torch.equal(clips.weight_BR[:, 1], (share_B >= 0.5).float())
    hinges = []
    for i, other in enumerate(batch.negatives_B.tolist()):  # type: ignore[union-attr]
        w_E = w_CE[batch.targets_B[i]]
        for share, o_BE in ((1 - share_B[i], a_BE), (share_B[i], v_BE)):
            near, far = (w_E - o_BE[i]).norm().item(), (w_E - o_BE[other]).norm().item()
            hinges.append(share.item() * max(0.0, 1.0 + near - far))
    terms = found.loss(batch).terms
    assert terms["triplet"].item() == pytest.approx(sum(hinges) / len(SOME), rel=1e-4)
    torch.testing.assert_close(terms["modalities"], ((a_BE - v_BE) ** 2).mean())


def test_avgzslnet_is_the_sum_of_its_published_terms(batch: TrainingBatch):
    found = system("avgzslnet", AVGZSLNet)
    a_BD, v_BD = averaged(batch.clips)
    word_BW = batch.words_CW[batch.targets_B]
    a, v, w = found.audio(a_BD), found.visual(v_BD), found.words(word_BW)
    a_, v_, w_ = (batch.negative(x) for x in (a, v, w))
    da, dv, dw = (F.normalize(found.decoder(x)) for x in (a, v, w))
    expected = TRIPLET(w, a, a_) + TRIPLET(a, w, w_) + TRIPLET(w, v, v_) + TRIPLET(v, w, w_)
    expected += TRIPLET(dw, da, batch.negative(da)) + TRIPLET(dw, dv, batch.negative(dv))
    expected += sum((x - word_BW).norm(dim=1).mean() for x in (da, dv, dw))
    torch.testing.assert_close(found.loss(batch).terms["total"], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_clipclap_is_the_sum_of_its_published_terms(batch: TrainingBatch):
    """Term by term, clip by clip; the encoded text, not the text itself, is decoded."""
    found = system("clipclap", ClipClap)
    theta_CE = found.embed_words(batch.words_CW)
    theta_BE = found.embed_clips(batch.clips).o_BRE[:, 0]
    w_CD = found.word_encoder(batch.words_CW)
    rho_CD, rho_BD = found.word_decoder(theta_CE), found.decoder(theta_BE)
    class_, alignment, clip_decoded, words_decoded = 0.0, 0.0, 0.0, 0.0
    for b, y in enumerate(batch.targets_B.tolist()):
        logits = [float(theta_BE[b] @ theta_E) for theta_E in theta_CE]
        class_ += np.log(np.sum(np.exp(logits))) - logits[y]
        alignment += float(((theta_BE[b] - theta_CE[y]) ** 2).mean())
        clip_decoded += float(((rho_BD[b] - w_CD[y]) ** 2).mean())
        words_decoded += float(((rho_CD[y] - w_CD[y]) ** 2).mean())
    n, terms = len(batch.targets_B), found.loss(batch).terms
    assert terms["class"].item() == pytest.approx(class_ / n, rel=1e-4)
    assert terms["alignment"].item() == pytest.approx(alignment / n, rel=1e-4)
    assert terms["clip_decoded"].item() == pytest.approx(clip_decoded / n, rel=1e-4)
    assert terms["words_decoded"].item() == pytest.approx(words_decoded / n, rel=1e-4)
    total = (class_ + alignment + clip_decoded + words_decoded) / n
    assert terms["total"].item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("name", ["avca", "avmst"])
def test_avca_is_the_sum_of_its_published_terms(batch: TrainingBatch, name: str):
    found = system(name, AVCA)
    assert "position_MD" in dict(found.named_parameters())  # trained, unlike in the published code
    thought = found.modalities(batch.clips)
    (a, v), (phi_a, phi_v) = thought.theta_BRE.unbind(1), thought.phi_BRD.unbind(1)
    word = batch.words_CW[batch.targets_B]
    w, rho_w = found.embed_words(word), found.decoder(found.embed_words(word))
    a_, v_, w_ = (batch.negative(x) for x in (a, v, w))
    rho_a, rho_v = found.decoder(a), found.decoder(v)
    mse = nn.MSELoss()
    basic = TRIPLET(a, w, a_) + TRIPLET(v, w, v_) + TRIPLET(w, a, w_) + TRIPLET(w, v, w_)
    composite = TRIPLET(w, a, a_) + TRIPLET(a, w, w_) + TRIPLET(w, v, v_) + TRIPLET(v, w, w_)
    decoded = TRIPLET(rho_w, rho_a, batch.negative(rho_a))
    decoded += TRIPLET(rho_w, rho_v, batch.negative(rho_v))
    errors = mse(rho_v, word) + mse(rho_a, word) + mse(rho_w, word) + mse(a, w) + mse(v, w)
    errors += mse(found.audio_reconstruction(a), phi_a)
    errors += mse(found.visual_reconstruction(v), phi_v)
    expected = basic + composite + decoded + errors
    torch.testing.assert_close(found.loss(batch).terms["total"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["avca", "avgzslnet"])
def test_a_score_of_both_is_the_sum_of_the_two(batch: TrainingBatch, name: str):
    measured = {}
    for score in ("audio", "visual", "both"):
        torch.manual_seed(0)
        found = build(system_config(name, score=score)).eval()
        clips, o_w_CE = found.embed_clips(batch.clips), found.embed_words(batch.words_CW)
        measured[score] = found.distances(clips, o_w_CE)
        branch = {"audio": 0, "visual": 1}.get(score)
        if branch is not None:
            expected = exact_distances(clips.o_BRE[:, branch], o_w_CE)
            np.testing.assert_allclose(measured[score], expected)
    np.testing.assert_allclose(measured["both"], measured["audio"] + measured["visual"])


def test_integrate_and_fire_in_plain_loops():
    encoder = SpikingEncoder(features=4, hidden=16, dim=12, steps=6, theta=0.25)
    x_BD = torch.randn(2, 4)
    found = encoder(x_BD)
    signal = x_BD[:, None].expand(-1, 6, -1)
    for layer, spikes_BSN in zip(encoder.linears, found, strict=True):
        current = layer(signal).detach().double().numpy()
        expected = np.zeros(current.shape)
        for b, n in np.ndindex(current.shape[0], current.shape[2]):
            u = 0.0
            for t in range(6):
                u += current[b, t, n]
                expected[b, t, n] = u > 0.25
                u = 0.0 if u > 0.25 else u
        np.testing.assert_array_equal(spikes_BSN.detach().numpy(), expected)
        signal = spikes_BSN
    assert 0 < found[1].mean() < 1


def test_avmst_keeps_the_modalities_apart_before_they_meet(batch: TrainingBatch):
    found, clips = system("avmst", AVMST), batch.clips
    before, spikes = found.encode(clips)
    clips.audio_BTD.add_(1.0)
    after, other = found.encode(clips)
    assert torch.equal(before[:, 1], after[:, 1]) and not torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(spikes.layers["visual"][0], other.layers["visual"][0])
    assert not torch.equal(spikes.layers["audio"][0], other.layers["audio"][0])


def test_tcaf_attends_across_modalities_only():
    allowed = across(torch.tensor([[True, True], [True, False]])).int().tolist()
    # tokens: class, a0, a1, v0, v1
    whole = [[1] * 5, [1, 0, 0, 1, 1], [1, 0, 0, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    assert allowed[0] == whole
    short = [[1, 1, 0, 1, 0], [1, 0, 0, 1, 0], [1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert allowed[1] == short


def test_tcaf_by_hand(batch: TrainingBatch):
    found = system("tcaf", TCaF)
    o_BE = found.embed_clips(batch.clips).o_BRE[:, 0]
    w_CE, word_BW = found.embed_words(batch.words_CW), batch.words_CW[batch.targets_B]
    w_BE = w_CE[batch.targets_B]
    own_B = (o_BE @ w_CE.T).log_softmax(1).gather(1, batch.targets_B[:, None])
    expected = -own_B.mean() + ((o_BE - w_BE) ** 2).mean()
    expected += ((found.decoder(o_BE) - word_BW) ** 2).mean()
    expected += ((found.word_decoder(w_BE) - word_BW) ** 2).mean()
    torch.testing.assert_close(found.loss(batch).terms["total"], expected)


def test_tcaf_knows_when_a_second_is(batch: TrainingBatch):
    found = system("tcaf", TCaF)
    place_TP = found.time.linear.weight.new_tensor([0.0, 1.0, 2.0])
    angle_TF = 2 * math.pi * place_TP[:, None] * found.time.frequencies
    expected = found.time.linear(torch.cat([angle_TF.sin(), angle_TF.cos()], dim=1))
    torch.testing.assert_close(found.time(place_TP), expected)
    assert (expected[0] - expected[1]).abs().max() > 0.1


def test_a_token_of_tcaf_is_a_second_with_its_bins(ragged_clips: ClipSet):
    K, channels = ragged_clips.events_MKD.shape[1:]
    events_MKD = np.repeat(ragged_clips.events_MKD, 512 // channels, axis=-1)
    clips = replace(ragged_clips, events_MKD=events_MKD)
    audio_BTD, visual_BTD, mask_BT = by_seconds(with_events_as_features(clips).batch(SOME), K)
    assert mask_BT.equal(clips.batch(SOME).mask_BT) and K > 1
    for row, clip in enumerate(SOME):
        for t, m in enumerate(range(*clips.offsets_N1[clip : clip + 2])):
            bins = [events_MKD[m, k] / 16 for k in range(K)]
            expected = np.concatenate([clips.visual_MD[m], *bins])
            np.testing.assert_allclose(visual_BTD[row, t].numpy(), expected, rtol=1e-6)
            np.testing.assert_array_equal(audio_BTD[row, t].numpy(), clips.audio_MD[m])
    wide = with_events_as_features(clips).batch(SOME)
    assert by_seconds(wide, 1)[1] is wide.visual_BTD
    config = system_config("tcaf", bins=K)
    config = replace(config, data=replace(config.data, inputs="features+events"))
    assert build(config).eval().embed_clips(wide).o_BRE.shape[:2] == (len(SOME), 1)
    with pytest.raises(UserError, match=r"--baseline\.tcaf\.bins is \d+, expected a divisor"):
        by_seconds(wide, wide.mask_BT.shape[1] + 1)


def test_tcaf_normalises_over_time_on_demand(ragged_clips: ClipSet):
    torch.manual_seed(0)
    plain = system("tcaf", TCaF)
    torch.manual_seed(0)
    published = system("tcaf", TCaF, normalise="published")
    batch = ragged_clips.batch(SOME)
    expected = ragged_clips.batch(SOME)
    expected.audio_BTD.div_(255)
    lengths_B1D = expected.visual_BTD.square().sum(1, keepdim=True).sqrt()
    expected.visual_BTD.div_(lengths_B1D)
    found = published.embed_clips(batch).o_BRE
    torch.testing.assert_close(found, plain.embed_clips(expected).o_BRE)
    assert not torch.allclose(found, plain.embed_clips(batch).o_BRE)


def test_the_generators_loss_never_reaches_the_critic(batch: TrainingBatch):
    found = system("fvaegan", FVAEGAN, critic_steps=3)
    gradients = []
    for steps in (0, 1, 2, 3):
        assert int(found.steps) == steps
        torch.manual_seed(1)
        found.zero_grad()
        terms = found.loss(batch).terms
        assert ("generator" in terms) == (steps % 3 == 0)
        terms["total"].backward()
        gradients.append([p.grad.clone() for p in found.critic.parameters()])  # type: ignore[union-attr]
        learns = all(p.grad is not None for p in found.generator.parameters())
        assert learns == (steps % 3 == 0)
    for other in gradients[1:]:
        for a, b in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(a, b)


def test_fvaegan_scores_candidates_that_it_was_prepared_for(ragged_clips: ClipSet):
    found = system("fvaegan", FVAEGAN)
    stage = STAGES[0]
    found.prepare(ragged_clips, stage, 0)
    classes = ragged_clips.classes_of(stage.seen, stage.unseen)
    words_CW = torch.from_numpy(ragged_clips.words_CW)
    with torch.no_grad():
        clips = found.embed_clips(ragged_clips.batch(SOME))
        distances = found.distances(clips, found.embed_words(words_CW[classes]))
    np.testing.assert_allclose(np.exp(-distances).sum(1), 1)
    with pytest.raises(UserError, match="2 of the requested classes are not among the 10 classes"):
        found.embed_words(words_CW)


@pytest.mark.parametrize("stage", STAGES)
def test_fvaegan_fits_its_classifier_to_clips_of_the_training_split_alone(
    ragged_clips: ClipSet, stage: Stage
):
    found, fitted, clips = system("fvaegan", FVAEGAN), [], ragged_clips
    others = np.setdiff1d(np.arange(96), clips.splits[stage.train])
    for _ in ("before", "after"):
        torch.manual_seed(0)
        found.prepare(clips, stage, 0)
        fitted.append(found.classifier_CF)
        for first, last in zip(clips.offsets_N1[others], clips.offsets_N1[others + 1], strict=True):
            clips.audio_MD[first:last] = np.nan
    assert torch.equal(*fitted)


def test_what_the_baselines_publish():
    config = BaselinesConfig()
    rates = {name: getattr(config, name).learning_rate for name in BASELINES}
    assert {name for name, rate in rates.items() if rate != 1e-3} == {"tcaf", "clipclap"}
    assert (config.tcaf.learning_rate, config.tcaf.layers, config.tcaf.place) == (7e-5, 6, 64)
    avca = config.avca
    assert (avca.hidden, avca.dim, avca.heads, avca.head, avca.joint) == (512, 300, 3, 100, 64)
    assert (avca.weight_decay, avca.margin, avca.score) == (1e-5, 1.0, "visual")
    assert adam(system_config("fvaegan"))["betas"] == (0.5, 0.999)
    assert adam(system_config("mdft")) == {"lr": 1e-3}
