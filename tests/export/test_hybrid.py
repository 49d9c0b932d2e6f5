"""`python -m export.hybrid`: the test set with its motion in a simulator, beside PyTorch's."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from export import hybrid
from export.hybrid import HybridConfig
from export.hybrid import hybrid as run_hybrid
from export.simulated import SimulatedMotion, Tally
from export.subset import balanced_subset
from hardware import backends
from hardware.backends import BACKENDS
from hardware.graph.network import Recording
from mdft import gzsl
from mdft.cli import exit_status
from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.model.mdft import MDFT
from mdft.runs.folder import MODEL, RESULTS, Results, write_results
from mdft.runs.load import load_model
from mdft.runs.preprocessing import preprocessing_of, write_preprocessing
from mdft.training.evaluation import score_split
from tests.export.conftest import make_run
from tests.mdft.small import random_clips, small_config, small_model

pytestmark = pytest.mark.rounding

BETA = 0.4
STAGE = ("test_seen", "test_unseen")


def finished(folder: Path) -> Path:
    """With a results.json; only its β is read."""
    none = {name: {} for name in ("firing_rates", "firing_spread", "dead_neurons")}
    numbers = dict.fromkeys(("seen", "unseen", "hm", "zsl", "seconds"), 0.5)
    counts = dict.fromkeys(("epoch", "seed", "candidates", "candidates_unseen"), 2)
    write_results(folder, Results(beta=BETA, **none, **numbers, **counts))
    return folder


@pytest.fixture(autouse=True)
def _their_clips(clips: ClipSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdft.runs.load.clips_of", lambda _: clips)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return finished(make_run(folder, random_clips(ragged=True)))


def one_more_spike(monkeypatch: pytest.MonkeyPatch, backend: str, at: tuple) -> None:
    """The backend's last layer spikes differently at one (clip of a batch, step, neuron)."""
    honest = BACKENDS[backend]

    def wrong(network, inputs, runtime) -> Recording:
        found = honest.run(network, inputs, runtime)
        found.spikes["lif_3"][at] ^= 1
        return found

    monkeypatch.setitem(backends.BACKENDS, backend, dataclasses.replace(honest, run=wrong))


@pytest.mark.parametrize("name", ["", MODEL])
def test_a_float_backend_gives_every_spike_and_score(
    run: Path, clips: ClipSet, tmp_path: Path, capsys, name: str
):
    out = tmp_path / "out.json"
    assert hybrid.main([str(run / name), "--backend", "reference_float", "--json", str(out)]) == 0
    found, text = json.loads(out.read_text()), capsys.readouterr().out
    # The scores are those of the evaluation, to the last digit, in both.
    model = load_model(run)
    split = score_split(model, clips, *STAGE, 256)
    expected = gzsl.scores(split.distances, split.labels, split.seen, BETA)
    for scores in (found["torch"], found["hybrid"]):
        assert scores == {k: getattr(expected, k) for k in ("seen", "unseen", "hm", "zsl")}
    # Only seconds that exist are compared: clips of 1 to 3 seconds, 4 steps each.
    tested = np.concatenate([clips.splits[s] for s in STAGE])
    steps = int(clips.seconds_N[tested].sum()) * 4
    assert len(set(clips.seconds_N[tested])) > 1
    assert set(found["layers"]) == {f"{p}.lif_{i}" for p in ("audio", "visual") for i in (1, 2, 3)}
    for layer in found["layers"].values():
        assert (layer["compared"], layer["differing"], layer["first"]) == (steps * 32, 0, None)
        assert 0.005 < layer["rate"] < 0.5
    assert f"0 of {6 * steps * 32:,} spikes differ\n" in text
    assert f"all {len(tested)} test clips; the 12 classes of these clips" in text
    assert found["failed"] is False and found["required"] is True
    assert found["milliseconds"] > 0 and found["steps"] == 12
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_a_differing_spike_is_counted_named_and_fails(run, clips, monkeypatch, capsys):
    order = np.concatenate([clips.splits[s] for s in STAGE])
    # In every batch of 10 the fourth clip; its seconds exist at step 2.
    one_more_spike(monkeypatch, "reference_float", (3, 2, 7))
    words = [str(run), "--backend", "reference_float", "--batch-size", "10"]
    assert hybrid.main(words) == 1
    text = capsys.readouterr().out
    batches = len(order) // 10 + (len(order) % 10 > 3)
    assert f"{2 * batches} of " in text
    result = run_hybrid(HybridConfig(run, "reference_float", batch_size=10))
    assert result.differing == 2 * batches
    layer = result.layers["visual.lif_3"]
    assert layer.first == (3, 2, 7) and layer.differing == batches and layer.f1 < 1
    assert result.first_clips["visual.lif_3"] == clips.names[order[3]]
    assert result.layers["visual.lif_2"].first is None
    assert f"clip {clips.names[order[3]]}, step 2, neuron 7" in " ".join(text.split())


def test_the_simulators_spikes_are_what_the_scores_are_made_of(run, clips, monkeypatch):
    """All output spikes inverted: other distances, as from the model given those spikes."""
    honest = BACKENDS["reference_float"]

    def inverted(network, inputs, runtime) -> Recording:
        found = honest.run(network, inputs, runtime)
        found.spikes["lif_3"] ^= 1
        return found

    model = load_model(run)
    assert isinstance(model, MDFT)
    backend = dataclasses.replace(honest, run=inverted)
    split = score_split(model, clips, *STAGE, 256, SimulatedMotion(model, backend))
    batch = clips.batch(np.concatenate([clips.splits[s] for s in STAGE]))
    with torch.no_grad():
        outputs = {}
        for p, given in model.motion_inputs(batch).items():
            layers = model.branch(p).spikes(given.x_BSD, threshold_current=given.current_BS1)
            outputs[p] = [*layers[:-1], 1 - layers[-1]]
        o_av = model.reason(model.semantics(batch), outputs, batch.mask_BT).double()
        o_w = model.embed_words(torch.from_numpy(clips.words_CW[split.classes])).double()
    by_hand = ((o_av[:, None] - o_w[None]) ** 2).sum(2).sqrt().numpy()
    # float32 on the way: 1e-5. Other spikes move the distances by a hundred times as much.
    np.testing.assert_allclose(split.distances, by_hand, rtol=1e-5, atol=1e-5)
    plain = score_split(model, clips, *STAGE, 256).distances
    assert np.abs(plain - split.distances).max() > 1e-3


def test_a_fixed_backend_may_differ_from_float_training_and_it_is_said(run, monkeypatch, capsys):
    one_more_spike(monkeypatch, "reference_int", (0, 0, 0))
    assert hybrid.main([str(run), "--backend", "reference_int"]) == 0
    assert "trained with float arithmetic they may in reference_int" in capsys.readouterr().out


@pytest.fixture(scope="module")
def loihi_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small_config(model=small_model(motion=MotionConfig(arithmetic="loihi")))
    folder = tmp_path_factory.mktemp("runs") / "loihi"
    return finished(make_run(folder, random_clips(ragged=True), config))


@pytest.mark.parametrize(
    "backend", ["reference_int", pytest.param("lava_fixed", marks=pytest.mark.lava)]
)
def test_loihi_training_gives_fixed_point_every_spike_and_score(loihi_run, backend):
    result = run_hybrid(HybridConfig(loihi_run, backend))
    assert result.required and not result.failed
    assert result.differing == 0 < result.compared and result.torch == result.hybrid
    assert result.reclassified == 0 and result.arithmetic == "loihi"


def test_loihi_training_fails_on_a_differing_spike(loihi_run, monkeypatch):
    one_more_spike(monkeypatch, "reference_int", (0, 0, 0))
    assert hybrid.main([str(loihi_run), "--backend", "reference_int"]) == 1


@pytest.mark.subprocess
@pytest.mark.lava
def test_lavas_own_runtime_on_a_few_clips(run, capsys):
    words = [str(run), "--backend", "lava_float", "--runtime", "process", "--limit", "2"]
    assert hybrid.main(words) == 0
    text = capsys.readouterr().out
    assert "lava_float (process)" in text and "2 of 36 test clips" in text


def test_one_threshold_a_neuron_and_one_pathway(tmp_path: Path, clips: ClipSet):
    model = small_model(motion=MotionConfig(per_neuron=True), modality="visual")
    run = finished(make_run(tmp_path / "run", clips, small_config(model=model)))
    result = run_hybrid(HybridConfig(run, "reference_float"))
    assert set(result.layers) == {f"visual.lif_{i}" for i in (1, 2, 3)} and not result.failed


@pytest.mark.parametrize("limit", [2, 7, 12, 25, 36])
def test_limit_takes_equally_many_of_each_class(clips: ClipSet, limit: int):
    found = balanced_subset(clips, *STAGE, limit, seed=1)
    picked = np.concatenate([found.splits[s] for s in STAGE])
    assert len(picked) == len(set(picked.tolist())) == limit
    for split in STAGE:
        assert set(found.splits[split].tolist()) <= set(clips.splits[split].tolist())
        assert len(found.splits[split]) > 0
    counts = np.bincount(clips.labels_N[picked], minlength=12)
    total = np.bincount(
        clips.labels_N[np.concatenate([clips.splits[s] for s in STAGE])], minlength=12
    )
    full = counts == total
    assert all(full | (counts >= counts.max() - 1))
    again, other = (balanced_subset(clips, *STAGE, limit, seed=s) for s in (1, 2))
    assert all(np.array_equal(found.splits[s], again.splits[s]) for s in STAGE)
    if limit == 7:
        assert any(not np.array_equal(found.splits[s], other.splits[s]) for s in STAGE)
    larger = balanced_subset(clips, *STAGE, min(limit + 5, 36), seed=1)
    assert set(picked.tolist()) <= {int(i) for s in STAGE for i in larger.splits[s]}


def test_limit_is_said_and_its_classes_are_the_candidates(run: Path, capsys):
    assert hybrid.main([str(run), "--backend", "reference_float", "--limit", "5"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "5 of 36 test clips, equally many of each class as far as possible, seed 0" in text
    assert "the 5 classes of these clips are the candidates" in text


def test_other_data_than_the_runs_is_not_scored(run: Path, clips: ClipSet, tmp_path: Path):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    other = dataclasses.replace(clips, words_CW=np.roll(clips.words_CW, 1, axis=0))
    write_preprocessing(folder, preprocessing_of(small_config().data, other))
    with pytest.raises(UserError, match="no longer that of this run: the classes have other word"):
        run_hybrid(HybridConfig(folder, backend="reference_float"))


def test_tally_counts_only_steps_that_exist():
    tally = Tally()
    expected, found = np.zeros((2, 3, 2)), np.zeros((2, 3, 2))
    expected[0, 0], found[0, 2] = 1, 1  # step 2 of clip 0 is padding
    found[1, 1, 1] = 1
    mask = np.array([[True, True, False], [True, True, True]])
    tally.add(expected, expected, expected, mask, 0)
    assert tally.first is None
    tally.add(expected, found, np.full((2, 3, 2), -0.25), mask, 2)
    layer = tally.comparison("x")
    assert (layer.compared, layer.differing, layer.rate) == (20, 3, 4 / 20)
    assert layer.f1 == 2 * 2 / (4 + 3)
    assert layer.first == (2, 0, 0) and layer.distance == -0.25


def test_wrong_use_exits_2_with_one_line(run: Path, tmp_path: Path, capsys):
    mlp = small_config(model=small_model(motion=MotionConfig(network="mlp")))
    other = finished(make_run(tmp_path / "mlp", random_clips(), mlp))
    unfinished = make_run(tmp_path / "unfinished", random_clips())
    for words, named in (
        ([str(run), "--backend", "nest"], "reference_int"),
        ([str(run), "--backend", "reference_int", "--runtime", "x"], "--runtime"),
        ([str(run), "--backend", "reference_int", "--limit", "1"], "--limit is 1, expected 2 to"),
        ([str(run), "--backend", "reference_int", "--limit", "37"], "2 to 36"),
        ([str(run), "--backend", "reference_int", "--batch-size", "0"], "--batch-size"),
        ([str(run), "--backend", "reference_int", "--json", "/no/x.json"], "--json is /no"),
        ([str(tmp_path / "none"), "--backend", "reference_int"], "none"),
        ([str(other), "--backend", "reference_int"], "without a spiking network"),
        ([str(unfinished), "--backend", "reference_int"], RESULTS),
    ):
        assert exit_status(lambda words=words: hybrid.main(words)) == 2, words
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("error: ") and named in error, error
