"""Every system through the trainer: saved, loaded, resumed, evaluated; and what is refused."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdft import ablate, train
from mdft.config.baselines import BaselinesConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.experiments.ablations import changed
from mdft.model.losses import total_loss
from mdft.runs.folder import Results, read_config
from mdft.runs.load import load_model, load_ours
from mdft.systems.build import BASELINES, build, check_used
from mdft.systems.compatibility import SJE
from mdft.systems.mdft import MDFTSystem
from mdft.training.evaluation import results_of, score_split
from mdft.training.trainer import Trainer
from tests.mdft.small_baselines import SYSTEMS, TRAINED, system_config, training_batch_of
from tests.mdft.systems.test_baselines_parts import SOME

pytestmark = pytest.mark.rounding


def run(clips: ClipSet, folder: Path, name: str, *, stop_after: int | None = None) -> Results:
    folder.mkdir(exist_ok=True)
    done = 0

    def report(record: dict) -> None:
        nonlocal done
        done += "loss" in record
        if stop_after is not None and done > stop_after:
            raise KeyboardInterrupt

    return Trainer(system_config(name, drop=True), clips, folder, report).run(resume=True)


@pytest.mark.parametrize("name", BASELINES)
def test_a_run_is_resumed_saved_and_loaded_whole(ragged_clips: ClipSet, tmp_path: Path, name: str):
    results = run(ragged_clips, tmp_path / "whole", name)
    with pytest.raises(KeyboardInterrupt):
        run(ragged_clips, tmp_path / "cut", name, stop_after=1)
    run(ragged_clips, tmp_path / "cut", name)
    for file in ("metrics.jsonl", "config.json", "model.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert read_config(tmp_path / "whole") == system_config(name, drop=True)
    model = load_model(tmp_path / "whole")
    assert type(model) is BASELINES[name] and not model.training
    split = score_split(model, ragged_clips, "test_seen", "test_unseen", batch_size=24)
    again = results_of(split, beta=results.beta, epoch=results.epoch, seed=0, seconds=0)
    assert again == dataclasses.replace(results, seconds=0)
    assert results.zsl >= results.unseen
    spiking = {"audio.lif_1", "audio.lif_2", "visual.lif_1", "visual.lif_2"}
    assert set(results.firing_rates) == (spiking if name == "avmst" else set())
    with pytest.raises(UserError, match=f"run of the baseline {name}, which has no motion"):
        load_ours(tmp_path / "whole")


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_chosen_owes_nothing_to_the_test(ragged_clips: ClipSet, tmp_path: Path, name: str):
    config, chosen = dataclasses.replace(system_config(name), epochs=1), []
    clips, only = ragged_clips, ragged_clips.classes_of("test_unseen")
    tested = np.concatenate([clips.splits["test_seen"], clips.splits["test_unseen"]])
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        trainer = Trainer(config, clips, tmp_path / folder, lambda record: None)
        chosen.append(dataclasses.replace(trainer.choose(), seconds=0))
        for first, last in zip(clips.offsets_N1[tested], clips.offsets_N1[tested + 1], strict=True):
            clips.audio_MD[first:last] = clips.visual_MD[first:last] = np.nan
        clips.words_CW[only] = np.nan
    assert chosen[0] == chosen[1] and chosen[0].metrics


def test_a_lesson_names_the_classes_of_the_training_split_alone(
    ragged_clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    batches, loss = [], SJE.loss
    monkeypatch.setattr(SJE, "loss", lambda self, x: batches.append(x) or loss(self, x))
    run(ragged_clips, tmp_path / "r", "sje")
    assert {len(batch.words_CW) for batch in batches} == {8, 10}  # of 12, in the order of both
    for batch in batches:
        found_CW = torch.from_numpy(ragged_clips.words_CW[: len(batch.words_CW)])
        assert torch.equal(batch.words_CW, found_CW)
        assert torch.equal(batch.targets_B, batch.clips.labels_B)


def test_ours_is_the_model_with_its_losses(ragged_clips: ClipSet):
    config, batch = system_config("mdft"), training_batch_of(ragged_clips, SOME)
    torch.manual_seed(0)
    system = build(config)
    assert isinstance(system, MDFTSystem) and batch.negatives_B is not None
    system.eval()
    output = system(batch.clips)
    clips = system.embed_clips(batch.clips)
    assert torch.equal(clips.o_BRE[:, 0], output.o_av_BE) and (clips.weight_BR == 1).all()
    loss = dataclasses.replace(config.loss, rate_limit=1.0)
    expected = total_loss(
        output.o_av_BE,
        output.reconstructed_BW,
        system.embed_words(batch.words_CW),
        batch.words_CW,
        batch.targets_B,
        batch.negatives_B,
        [],
        loss,
    )
    found = system.loss(batch)
    for name in ("triplet", "projection", "reconstruction"):
        torch.testing.assert_close(found.terms[name], expected[name])
    assert "rate" in found.terms and set(found.spikes.layers) == {"audio", "visual"}


@pytest.mark.parametrize(
    ("field", "value", "with_it"),
    [
        ("data.feature_threshold", 0.5, {"data.events": "feature"}),
        ("model.motion.theta_fixed", 0.25, {"model.motion.threshold": "fixed"}),
        ("loss.temperature", 0.5, {"loss.softmax": 1.0}),
        ("patience", 3, {"init": None}),
    ],
)
def test_a_flag_that_nothing_reads_is_refused(field: str, value: float, with_it: dict[str, Any]):
    without = {
        "loss.softmax": 0.0,
        "init": Path("run"),
        "model.motion.threshold": "relative",
        "data.events": "pixel",
    }
    recipe = changed(system_config("mdft"), without)
    check_used(recipe, recipe)
    flag = field.replace("_", "-")
    with pytest.raises(UserError, match=rf"--{flag} {value}: used only with .*; leave it out"):
        check_used(changed(recipe, {field: value}), recipe)
    check_used(changed(recipe, {field: value, **with_it}), recipe)


def test_a_batch_size_of_its_own_leaves_the_steps(
    ragged_clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An epoch of each stage has the steps of batches of 8, whatever its batches have."""
    sizes, loss = [], SJE.loss
    monkeypatch.setattr(
        SJE, "loss", lambda self, x: sizes.append(len(x.targets_B)) or loss(self, x)
    )
    config = changed(system_config("sje"), {"batch_size": 8, "epochs": 1})
    for own, expected in ((None, 8), (20, 20)):
        sizes.clear()
        folder = tmp_path / str(own)
        folder.mkdir()
        run = changed(config, {"baseline.sje.batch_size": own})
        Trainer(run, ragged_clips, folder, lambda record: None).run()
        splits = [len(ragged_clips.splits[s]) for s in ("stage_1_train", "stage_2_train")]
        assert sizes == [expected] * sum(-(-clips // 8) for clips in splits)
        assert run.clips_per_step == expected
    assert changed(run, {"system": "mdft"}).clips_per_step == 8


@pytest.mark.parametrize("name", ["means", "ridge", "conse"])
@pytest.mark.parametrize(("field", "value"), [("learning_rate", 0.5), ("batch_size", 8)])
def test_a_system_in_closed_form_has_no_steps(name: str, field: str, value: float):
    recipe = system_config("mdft")
    config = dataclasses.replace(recipe, system=name)  # type: ignore[arg-type]
    check_used(config, recipe)
    flag = f"--baseline.{name}.{field.replace('_', '-')}"
    with pytest.raises(UserError, match=f"{flag}: --model {name} is not trained in steps"):
        check_used(changed(config, {f"baseline.{name}.{field}": value}), recipe)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_flag_of_another_system_is_refused(name: str):
    recipe = system_config("mdft")
    config = dataclasses.replace(recipe, system=name)  # type: ignore[arg-type]
    check_used(config, recipe)
    other = "sje" if name != "sje" else "apn"
    changed = dataclasses.replace(getattr(config.baseline, other), learning_rate=0.5)
    foreign = dataclasses.replace(BaselinesConfig(), **{other: changed})
    with pytest.raises(UserError, match=f"--baseline.{other}: only --model {other} uses it"):
        check_used(dataclasses.replace(config, baseline=foreign), recipe)
    if name == "mdft":
        check_used(dataclasses.replace(config, learning_rate=0.5), recipe)
        return
    with pytest.raises(
        UserError, match=f"--learning-rate: applies to MDFT, .*--baseline.{name} in --help"
    ):
        check_used(dataclasses.replace(config, learning_rate=0.5), recipe)
    narrow = dataclasses.replace(config.model, heads=2)
    with pytest.raises(UserError, match=r"--model: applies to MDFT"):
        check_used(dataclasses.replace(config, model=narrow), recipe)
    wide = dataclasses.replace(config.model, audio_features=128)  # widths are the data's
    check_used(dataclasses.replace(config, model=wide), recipe)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("dropout", 1.0, "baseline.cjme.dropout is 1.0, expected less than 1"),
        ("hidden", 0, "baseline.cjme.hidden is 0, expected at least 1"),
        ("hidden", 2.5, "baseline.cjme.hidden is 2.5, expected a valid integer"),
        ("margin", float("nan"), "baseline.cjme.margin is nan, expected less than inf"),
        ("learning_rate", 0.0, "baseline.cjme.learning_rate is 0.0, expected greater than 0"),
    ],
)
def test_an_impossible_hyperparameter_is_named(field: str, value: Any, expected: str):
    with pytest.raises(UserError, match=expected):
        system_config("cjme", **{field: value}).check()
    with pytest.raises(UserError, match="place is 7, expected a multiple of 2"):
        system_config("tcaf", place=7).check()


def test_the_flag_is_spelled_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    flags = ["debug", "--model", "avca", "--baseline.avca.score", "both", "--model.words", "299"]
    _, command = train.parse(flags, train.Command, "mdft.train")
    config = train.config_of(command)
    assert (config.system, config.baseline.avca.score) == ("avca", "both")
    assert config.model.words == 299
    monkeypatch.setattr(sys, "argv", ["ablate", "debug", "--model", "avca"])
    with pytest.raises(UserError, match="--model is 'avca', expected mdft"):
        ablate.main()


def test_the_system_is_in_the_saved_configuration(ragged_clips: ClipSet, tmp_path: Path):
    run(ragged_clips, tmp_path / "r", "sje")
    saved = json.loads((tmp_path / "r" / "config.json").read_text())
    assert saved["system"] == "sje" and saved["baseline"]["sje"]["margin"] == 0.1
    saved["system"] = "nope"
    (tmp_path / "r" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(UserError, match=r"config\.json: field system: .*'mdft'"):
        load_model(tmp_path / "r")


@pytest.mark.parametrize("name", BASELINES)
def test_the_document_has_a_row_for_every_system(name: str):
    text = (Path(__file__).parents[3] / "docs" / "baselines.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert len(rows) >= 2  # what it is, and its hyperparameters
    if name not in TRAINED:
        return
    rate = f"{getattr(BaselinesConfig(), name).learning_rate:.0e}".replace("e-0", "e-")
    assert any(f"| {rate} |" in row for row in rows)
