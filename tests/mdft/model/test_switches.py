"""Every switch of the configuration: what it takes away, and that the rest still trains."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from mdft.config.model import LossConfig, MotionConfig
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.model import MDFT
from mdft.model.losses import distance, total_loss
from tests.mdft.small import D, float64, in_double, small_model

pytestmark = pytest.mark.rounding

RATE = MotionConfig(rate=0.12)


def switched(**changes) -> MotionConfig:
    return dataclasses.replace(RATE, **changes)


SWITCHES = {
    "full": small_model(motion=RATE),
    "without motion": small_model(motion=switched(enabled=False)),
    "without rjlu": small_model(motion=RATE, rjlu=False),
    "without crm": small_model(motion=RATE, crm=False),
    "without rjlu and crm": small_model(motion=RATE, rjlu=False, crm=False),
    "without events": small_model(motion=switched(events=False)),
    "mlp": small_model(motion=switched(network="mlp", events=False)),
    "events and mlp": small_model(motion=switched(network="mlp")),
    "audio": small_model(motion=RATE, modality="audio"),
    "visual": small_model(motion=RATE, modality="visual"),
    "paper": small_model(motion=switched(threshold="paper")),
    "fixed at 1.25": small_model(motion=switched(threshold="fixed", theta_fixed=1.25)),
    "fixed at 0.75": small_model(motion=switched(threshold="fixed", theta_fixed=0.75)),
    "per neuron": small_model(motion=switched(per_neuron=True)),
    "per neuron, fixed": small_model(motion=switched(per_neuron=True, threshold="fixed")),
    "space of words": small_model(motion=RATE, space="words"),
    "ridge regression": small_model(motion=RATE, space="words", ridge=0.1),
    "linear value": small_model(motion=switched(value="linear")),
    "recurrent value": small_model(motion=switched(value="recurrent"), crm=False),
    "both values": small_model(motion=switched(value="both"), space="words"),
    "both values of an mlp": small_model(motion=switched(value="both", network="mlp")),
    "without motion, rjlu, crm": small_model(motion=switched(enabled=False), rjlu=False, crm=False),
}
#: Parameters that see nothing but zeros when a modality is missing.
BLIND = {"audio": "visual_encoder.blocks.0.0", "visual": "audio_encoder.blocks.0.0"}


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_trains_every_parameter_it_has(clips: ClipSet, name: str):
    config = SWITCHES[name]
    config.check()
    model = MDFT(config)
    batch = clips.batch(np.arange(0, len(clips), 2))
    rates = model.calibrate(batch)
    output = model(batch)
    loss = distance(output.o_av_BE, model.embed_words(torch.from_numpy(clips.words_CW))[0]).mean()
    (loss + output.reconstructed_BW.square().mean()).backward()
    spiking = config.motion.enabled and config.motion.network == "snn"
    pathways = {"both": {"audio", "visual"}}.get(config.modality, {config.modality})
    assert set(output.spikes) == set(rates) == (pathways if spiking else set())
    for pathway, layers in output.spikes.items():
        for i, spikes in enumerate(layers):
            assert 0.02 < spikes.mean() < 0.3, f"{pathway}.lif_{i + 1}"
    blind = BLIND.get(config.modality, "none")
    without = [
        n
        for n, p in model.named_parameters()
        if (p.grad is None or not p.grad.any()) and not n.startswith(blind)
    ]
    assert without == []


@pytest.mark.parametrize("name", SWITCHES)
def test_no_switch_lets_a_sample_know_its_neighbours(ragged_clips: ClipSet, name: str):
    """In float64: no threshold is so near that the shape of a batch decides a spike."""
    clips, indices = in_double(ragged_clips), np.arange(0, len(ragged_clips), 2)
    with float64():
        model = MDFT(SWITCHES[name])
    batch = clips.batch(indices)
    model.calibrate(batch)
    for _ in range(10):
        model(batch)
    model.eval()
    together = model(batch)
    for row, index in enumerate(indices[:12]):
        alone = model(clips.batch(np.array([index])))
        torch.testing.assert_close(
            alone.o_av_BE[0], together.o_av_BE[row], atol=1e-10, rtol=1e-10, msg=name
        )


@pytest.mark.parametrize("missing", ["audio", "visual"])
def test_a_missing_modality_changes_nothing(clips: ClipSet, missing: str):
    only = "visual" if missing == "audio" else "audio"
    model = MDFT(small_model(motion=RATE, modality=only)).eval()
    batch = clips.batch(np.arange(10))
    changed = {f"{missing}_BTD": torch.randn_like(batch.audio_BTD)}
    if missing == "visual":
        changed["events_BTKD"] = torch.zeros_like(batch.events_BTKD)
    other = dataclasses.replace(batch, **changed)
    assert torch.equal(model(batch).o_av_BE, model(other).o_av_BE)
    kept = dataclasses.replace(batch, **{f"{only}_BTD": torch.randn_like(batch.audio_BTD)})
    assert not torch.equal(model(batch).o_av_BE, model(kept).o_av_BE)


def test_without_events_the_branch_sees_the_encoded_features(clips: ClipSet):
    model = MDFT(small_model(motion=switched(events=False))).eval()
    batch = clips.batch(np.arange(6))
    silent = dataclasses.replace(batch, events_BTKD=torch.zeros_like(batch.events_BTKD))
    assert torch.equal(model(batch).o_av_BE, model(silent).o_av_BE)
    K = batch.events_BTKD.shape[2]
    v_BTD = model.semantics(batch).v_BTD
    x_BTKD = model.motion_inputs(batch)["visual"].x_BSD.unflatten(1, (-1, K))
    for k in range(K):
        assert torch.equal(x_BTKD[:, :, k], (v_BTD * 16).round().clamp(max=255) / 16)


def test_without_rjlu_the_scene_is_the_mean_of_both_modalities(clips: ClipSet):
    model = MDFT(small_model(rjlu=False)).eval()
    seen = model.semantics(clips.batch(np.arange(4)))
    assert seen.h_BTD is None
    assert torch.equal(seen.S_BTD, (seen.a_BTD + seen.v_BTD) / 2)


def test_without_crm_gated_features_and_knowledge_are_summed(clips: ClipSet):
    model = MDFT(small_model(crm=False)).eval()
    batch = clips.batch(np.arange(4))
    semantics = model.semantics(batch)
    zero = torch.zeros_like(semantics.a_BTD)
    # A rate of zero at running mean 0 and deviation 1 gates with σ(0) = 1/2.
    assert semantics.h_BTD is not None
    F_BTD = model.crm(
        semantics.a_BTD,
        semantics.v_BTD,
        semantics.h_BTD,
        {"audio": zero, "visual": zero},
        batch.mask_BT,
    )
    torch.testing.assert_close(F_BTD, (semantics.a_BTD + semantics.v_BTD) / 2 + semantics.h_BTD)


def test_the_mlp_has_no_memory(clips: ClipSet):
    """Bins in another order give the same answers in that order: there is no state."""
    model = MDFT(small_model(motion=switched(network="mlp"))).eval()
    x = torch.randn(2, 6, D)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    network = model.motion["visual"]
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order])


def test_per_neuron_thresholds_differ_between_neurons(clips: ClipSet):
    model = MDFT(small_model(motion=switched(per_neuron=True))).eval()
    given = model.motion_inputs(clips.batch(np.arange(6)))["visual"]
    assert given.theta_BT1.shape == (6, 3, D)
    assert given.theta_BT1.std(-1).min() > 0
    assert given.current_BS1.shape == (6, 12, D)


@pytest.mark.parametrize("term", ["triplet", "projection", "reconstruction"])
def test_every_loss_term_has_a_switch(term: str):
    generator = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    given = (tensor(6, 4), tensor(6, 8), tensor(3, 4), tensor(3, 8), torch.tensor([0, 1, 2] * 2))
    negatives_B = torch.tensor([1, 2, 0, 4, 5, 3])
    rates = [torch.tensor(0.4)]
    full = total_loss(*given, negatives_B, rates, LossConfig())
    without = total_loss(*given, negatives_B, rates, LossConfig(**{term: False}))
    assert set(full) - set(without) == {term}
    torch.testing.assert_close(full["total"] - full[term], without["total"])
    unbounded = total_loss(*given, negatives_B, rates, LossConfig(rate_limit=1.0))
    torch.testing.assert_close(
        unbounded["total"], full["triplet"] + full["projection"] + full["reconstruction"]
    )


def test_the_loss_without_a_spiking_layer_stays_on_its_device():
    """On CUDA the ablations without spikes once met a zero on the CPU; meta stands for it."""
    o, r, o_w, words = (torch.empty(shape, device="meta") for shape in ((4, 3), (4, 5)) * 2)
    index_B = torch.zeros(4, dtype=torch.long, device="meta")
    terms = total_loss(o, r, o_w, words, index_B, index_B, [], LossConfig())
    assert {term.device.type for term in terms.values()} == {"meta"}


def test_each_dropout_of_the_paper_is_where_it_belongs():
    rates = {"dropout_encoder": 0.11, "dropout_projection": 0.22, "dropout_words": 0.33}
    found: dict[str, set[float]] = {}
    for name, module in MDFT(small_model(**rates)).named_modules():
        if isinstance(module, nn.Dropout):
            found.setdefault(name.split(".")[0], set()).add(module.p)
    assert found == {
        "audio_encoder": {0.11},
        "visual_encoder": {0.11},
        "av_proj": {0.22},
        "reconstruct": {0.22},
        "w_proj": {0.33},
    }


def test_what_the_paper_does_not_print():
    config = TrainConfig()
    motion = config.model.motion
    assert (config.loss.margin, config.batch_size, config.data.feature_threshold) == (1.0, 256, 0.2)
    assert (motion.beta, motion.theta_0, motion.theta_min, motion.theta_max) == (0.5, 1.0, 0.5, 2.0)
    assert (motion.threshold, config.model.transformer_layers) == ("relative", 1)
    branch = MDFT(small_model()).branch("audio")
    assert (branch.beta, branch.theta_0) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("recipe", "encoder", "decoder"),
    [("vggsound", 0.20, 0.25), ("ucf", 0.25, 0.20), ("activitynet", 0.10, 0.15)],
)
def test_the_published_recipes_are_the_papers(recipe: str, encoder: float, decoder: float):
    config = RECIPES[recipe]()
    model = config.model
    assert (model.dropout_encoder, model.dropout_projection) == (encoder, decoder)
    assert model.dropout_words == 0.1
    assert (model.dim, model.joint, model.words) == (512, 64, 300)
    assert (model.heads, model.dim // model.heads) == (8, 64)
    assert (config.epochs, config.learning_rate, model.motion.layers) == (50, 1e-4, 3)
    assert config.loss.triplet and config.loss.projection and config.loss.reconstruction
    docstring = RECIPES[recipe].__doc__ or ""
    assert f"python -m mdft.train {recipe} --data.root" in docstring


@pytest.mark.parametrize(
    ("recipe", "epochs", "rate"),
    [
        ("ucf-clipclap", 20, 7e-5),
        ("vggsound-clipclap", 15, 1e-4),
        ("activitynet-clipclap", 15, 1e-4),
    ],
)
def test_clipclaps_recipes_are_its_scripts(recipe: str, epochs: int, rate: float):
    config, own = RECIPES[recipe](), RECIPES[recipe]().baseline.clipclap
    assert (config.epochs, own.learning_rate, config.batch_size) == (epochs, rate, 64)
    assert (own.dim, own.hidden, own.joint, own.weight_decay) == (512, 512, 64, 1e-5)
    assert (own.dropout_encoder, own.dropout_projection, own.dropout_words) == (0.1, 0.1, 0.1)
    widths = config.model.audio_features, config.model.visual_features, config.model.words
    assert widths == (1024, 512, 1536) and config.data.source == "files"
    paper = RECIPES[recipe.removesuffix("-clipclap")]().model
    assert config.model.dropout_encoder == paper.dropout_encoder


def test_a_fixed_threshold_is_not_undone_by_the_initialisation(clips: ClipSet):
    """The same weights at the start, and a higher threshold fires less."""
    batch, rates, weights = clips.batch(np.arange(48)), [], []
    for theta in (0.5, 1.0, 2.0):
        torch.manual_seed(0)
        model = MDFT(small_model(motion=switched(threshold="fixed", theta_fixed=theta)))
        model.calibrate(batch)
        given = model.motion_inputs(batch)["visual"]
        assert (given.theta_BT1 == theta).all()
        rates.append(model(batch).spikes["visual"][0].mean().item())
        weights.append(model.branch("visual").linears[0].weight)
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])
    assert rates[0] > 1.5 * rates[1] > 3 * rates[2]
