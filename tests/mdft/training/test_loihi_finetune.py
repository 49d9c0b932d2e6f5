"""Fine-tuning a float run: what it starts from, what it may not choose, and Loihi's integers."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from export.graph import input_grids, to_graph
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from mdft import train
from mdft.config.model import MotionConfig
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.experiments.ablations import changed
from mdft.lif.grid import GRID
from mdft.model.mdft import MDFT, PATHWAYS
from mdft.model.motion import MotionBranch
from mdft.runs.folder import MODEL, Results, read_config
from mdft.runs.load import load_model
from mdft.runs.tensors import write_tensors
from mdft.train import Command, start_of
from mdft.training.command_line import config_of, parse
from mdft.training.finetune import adopt
from mdft.training.trainer import Trainer, score_split
from tests.mdft.small import small_config, small_model

pytestmark = pytest.mark.rounding

ARITHMETIC, BITS = "model.motion.arithmetic", "model.motion.weight_bits"


def run(config: TrainConfig, clips: ClipSet, folder: Path, *, stop_after=None, **how) -> Results:
    folder.mkdir(exist_ok=True)
    seen = 0

    def report(record: dict) -> None:
        nonlocal seen
        seen += "loss" in record
        if stop_after is not None and seen > stop_after:
            raise KeyboardInterrupt

    return Trainer(config, clips, folder, report).run(**how)


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A float run."""
    return Path(shutil.copytree(whole, tmp_path / "float"))


def tuned(finished: Path, change: dict | None = None, **others) -> TrainConfig:
    config = dataclasses.replace(small_config(), init=finished, **others)
    return changed(config, {ARITHMETIC: "loihi", **(change or {})})


def branches(run: Path) -> dict[str, MotionBranch]:
    model = load_model(run)
    found = {name: model.get_submodule(f"motion.{name}") for name in PATHWAYS}
    return {name: branch for name, branch in found.items() if isinstance(branch, MotionBranch)}


@pytest.mark.parametrize("bits", [8, 3])
def test_a_tuned_run_has_every_spike_of_the_integers(clips, finished, tmp_path, bits: int):
    run(tuned(finished, {BITS: bits}), clips, tmp_path / "tuned")
    found = branches(tmp_path / "tuned")
    assert set(found) == set(PATHWAYS)
    for branch in found.values():
        assert (branch.arithmetic, branch.weight_bits) == ("loihi", bits)
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 48, (4, 12, branch.features), generator=generator) / 16
        current = branch.threshold_current(0.7 + torch.rand(4, 12, 1, generator=generator))
        network = quantise(lower(to_graph(branch)), input_grids(branch))
        assert network.notes == ()
        inputs = {"events": x.numpy(), "threshold_current": current.detach().numpy()}
        expected = reference_int(network, inputs)
        for i, (spikes, _) in enumerate(branch.trace(x, threshold_current=current), start=1):
            np.testing.assert_array_equal(spikes.detach().numpy(), expected.spikes[f"lif_{i}"])
            assert 0 < spikes.mean() < 1


def test_it_goes_on_from_the_model_with_its_beta(clips, finished, tmp_path, monkeypatch):
    """No stage 1, no calibration, one test: nothing to choose by, and nothing chosen."""
    asked = []

    def spy(model, clips, seen, unseen, batch_size, feed):
        asked.append(seen)
        return score_split(model, clips, seen, unseen, batch_size, feed=feed)

    monkeypatch.setattr("mdft.training.trainer.score_split", spy)
    path = finished / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "beta": 1.25}))
    config = tuned(finished, epochs=3, learning_rate=1e-12)
    results = run(config, clips, tmp_path / "tuned")
    assert (results.beta, results.epoch) == (1.25, 2)
    assert asked == ["test_seen"]
    records = (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(r)["stage"] for r in records] == ["stage_2"] * 3
    before, after = load_model(finished).state_dict(), load_model(tmp_path / "tuned").state_dict()
    trained = dict(load_model(finished).named_parameters())
    assert before.keys() == after.keys()
    for name in trained:  # steps of 1e-12 are no steps: what was there at the start is there
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-9)


def test_it_trains_and_resumes(clips, finished, tmp_path):
    config = tuned(finished, {BITS: 4}, epochs=3)
    run(config, clips, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, clips, tmp_path / "cut", stop_after=1)
    run(config, clips, tmp_path / "cut", resume=True)
    whole, cut = (tmp_path / n / "model.safetensors" for n in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
    assert read_config(tmp_path / "cut").init == finished
    found, before = (
        load_model(run).state_dict()["motion.visual.linears.2.weight"]
        for run in (tmp_path / "cut", finished)
    )
    assert not torch.equal(found, before)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model.motion.beta": 0.75}, "model.motion.beta"),
        ({"model.heads": 2}, "model.heads"),
        ({"data.split": "cls_split", "model.joint": 8}, "data.split, model.joint"),
    ],
)
def test_another_architecture_or_data_is_refused(clips, finished, tmp_path, change, named):
    with pytest.raises(UserError, match=f"that run has another {named}; repeat its flags"):
        run(tuned(finished, change), clips, tmp_path / "tuned")
    assert not list((tmp_path / "tuned").iterdir())


def test_data_that_has_changed_since_is_refused(clips, finished, tmp_path):
    """A class that the model was trained on is tested as unseen now.

    A run of earlier code without a record of its classes is taken as it was.
    """
    index = np.arange(len(clips))
    moved = clips.labels_N == 0
    splits = {name: found[~moved[found]] for name, found in clips.splits.items()}
    splits["test_unseen"] = np.concatenate([splits["test_unseen"], index[moved]])
    other = dataclasses.replace(clips, splits=splits)
    with pytest.raises(UserError, match=r"float: .*other classes are trained on .*class00"):
        run(tuned(finished), other, tmp_path / "tuned")
    assert not list((tmp_path / "tuned").iterdir())
    (finished / "classes.safetensors").unlink()
    run(tuned(finished, epochs=1), other, tmp_path / "tuned")


def test_a_run_that_is_not_finished_is_refused(clips, finished, tmp_path):
    (finished / "results.json").unlink()
    with pytest.raises(UserError, match=r"no results\.json there, expected a finished run"):
        run(tuned(finished), clips, tmp_path / "tuned")
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        run(tuned(tmp_path / "nowhere"), clips, tmp_path / "tuned")


def test_other_bits_choose_their_steps_anew(clips, finished, tmp_path):
    run(tuned(finished, {BITS: 2}, epochs=1), clips, tmp_path / "two")
    few = load_model(tmp_path / "two")
    four = MotionConfig(arithmetic="loihi", weight_bits=4)
    for config in (small_model(motion=four), small_model()):  # and back to 8 bits
        model = MDFT(config)
        adopt(model, tmp_path / "two")
        name = "motion.audio.linears.1.weight"
        assert torch.equal(model.state_dict()[name], few.state_dict()[name])
    branch = MDFT(small_model(motion=four))
    adopt(branch, tmp_path / "two")
    steps, other = branch.branch("audio").weight_steps_L, branches(tmp_path / "two")["audio"]
    assert (steps < other.weight_steps_L).all()


def test_flags(monkeypatch, finished, capsys):
    short = ["--motion.arithmetic", "loihi", "--motion.weight-bits", "5"]
    long = ["--model.motion.arithmetic", "loihi", "--model.motion.weight-bits", "5"]
    for flags in (short, long):
        motion = parse(["debug", *flags], Command, "mdft.train")[1].model.motion
        assert (motion.arithmetic, motion.weight_bits) == ("loihi", 5)
    command = parse(["debug", "--init", str(finished / "model.safetensors")], Command, "m")[1]
    assert config_of(command).init == finished.resolve()
    with pytest.raises(UserError, match="--stage is '1', expected no --stage together with --init"):
        start_of(dataclasses.replace(command, stage="1"))
    with pytest.raises(UserError, match=r"model\.motion\.weight_bits is 9, expected at most 8"):
        changed(small_config(), {BITS: 9}).check()
    with pytest.raises(
        UserError, match=r"beta is 0\.0, expected more than 0 with arithmetic loihi"
    ):
        changed(small_config(), {ARITHMETIC: "loihi", "model.motion.beta": 0.0}).check()
    monkeypatch.setattr(sys, "argv", ["train", "debug", "--help"])
    with pytest.raises(SystemExit):
        train.main()
    help_ = capsys.readouterr().out
    assert "--motion.arithmetic" in help_ and "--motion.weight-bits" in help_ and "--init" in help_


def test_a_range_that_is_left_names_pathway_and_layer(clips, finished, tmp_path):
    model = load_model(finished)
    with torch.no_grad():
        weight = model.get_parameter("motion.visual.linears.0.weight")
        weight.fill_(1.9)
        weight[:, 0] = -GRID  # mixed signs, an odd multiple: the state stays below 64
    write_tensors(finished / MODEL, model.state_dict(), {"epoch": 0})
    loud = dataclasses.replace(clips, events_MKD=np.minimum(clips.events_MKD * 20, 255))
    with pytest.raises(UserError, match=r"motion\.visual lif_1: \d+ currents and membranes reach"):
        run(tuned(finished), loud, tmp_path / "tuned")
