"""``python -m mdft.train ucf --data.root DIR`` on a small benchmark in the published format."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from rich.console import Console

from mdft import seeds
from mdft.cli import run_main
from mdft.config import recipes
from mdft.config.data import DataConfig
from mdft.config.train import TrainConfig
from mdft.data.sources import SOURCES
from mdft.runs.load import clips_of
from mdft.train import Command, main
from mdft.training.command_line import config_of, parse
from mdft.training.run import train
from tests.mdft.data.layouts import write_small

WIDTHS = ["--model.audio-features", "6", "--model.visual-features", "8"]


@pytest.mark.parametrize("recipe", [recipes.ucf, recipes.features])
@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_a_recipe_trains_and_tests_on_feature_files(
    suffix: str, recipe: Callable[[], TrainConfig], tmp_path: Path
):
    write_small(tmp_path / "own", suffix)
    config = recipe()
    config = replace(
        config,
        data=replace(config.data, root=tmp_path / "own", cache=tmp_path / "cache"),
        model=replace(config.model, audio_features=6, visual_features=8),
        epochs=1,
        batch_size=12,
    )
    shown = io.StringIO()
    results = train(config, tmp_path / "run", console=Console(file=shown, width=200)).results
    assert results is not None
    assert "word vectors: joined by name; legacy would misplace 6 of 7 classes" in shown.getvalue()
    assert ("averaged features: every clip is one vector" in shown.getvalue()) == (suffix == ".h5")
    assert "ZSL" in shown.getvalue() and results is not None
    saved = json.loads((tmp_path / "run" / "results.json").read_text())
    assert saved["hm"] == results.hm and results.candidates == 7
    assert len(clips_of(tmp_path / "run")) == 28


def error_of(monkeypatch, capsys, *arguments: str, command=main) -> str:
    monkeypatch.setattr(sys, "argv", ["mdft.train", *arguments])
    with pytest.raises(SystemExit) as left:
        run_main(command)
    assert left.value.code == 2
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    return written


def test_a_missing_root_and_a_wrong_width_are_one_line(tmp_path: Path, monkeypatch, capsys):
    for recipe in ("ucf", "vggsound", "activitynet", "features"):
        assert "--data.root is missing" in error_of(monkeypatch, capsys, recipe)
    write_small(tmp_path / "own")
    flags = ["--data.root", str(tmp_path / "own"), "--data.cache", str(tmp_path / "cache")]
    message = error_of(monkeypatch, capsys, "ucf", *flags, "--out", str(tmp_path / "run"))
    assert "width of the features is (512, 512), expected 6 (audio) and 8 (visual)" in message
    assert "--model.audio-features 6 --model.visual-features 8" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--data.root", "nowhere"], "nowhere: no such folder"),
        (["--data.root", "own"], "expected 6 (audio) and 8 (visual)"),
        (["--data.root", "own", *WIDTHS, "--model.words", "5"], "add --model.words 300"),
    ],
)
@pytest.mark.parametrize("command", [main, seeds.main])
def test_a_command_that_cannot_start_leaves_no_folder(
    command, flags: list[str], named: str, tmp_path: Path, monkeypatch, capsys
):
    write_small(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    flags = [*flags, "--data.cache", "cache", "--out", "run"]
    assert named in error_of(monkeypatch, capsys, "ucf", *flags, command=command)
    assert not (tmp_path / "run").exists()


def test_other_mistakes_leave_no_folder(tmp_path: Path, monkeypatch, capsys):
    write_small(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    flags = ["ucf", "--data.root", "own", "--data.cache", "cache", *WIDTHS]
    said = error_of(monkeypatch, capsys, *flags, "--device", "abacus", "--out", "run")
    assert "--device abacus" in said and not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("mine")
    said = error_of(monkeypatch, capsys, *flags, "--out", "file")
    assert (
        "--out file: a file of that name exists" in said
        and (tmp_path / "file").read_text() == "mine"
    )


def test_a_run_remembers_where_its_data_lie(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, command = parse(["ucf", "--data.root", "own"], Command, "mdft.train")
    assert config_of(command).data.root == tmp_path / "own"


def test_the_recipes_are_those_of_the_paper():
    """Section 4.1: d_enc, d_dec and d_wproj of VGGSound, UCF and ActivityNet."""
    printed = {"vggsound": (0.20, 0.25), "ucf": (0.25, 0.20), "activitynet": (0.10, 0.15)}
    for name, dropouts in printed.items():
        config = recipes.RECIPES[name]()
        model = config.model
        assert (model.dropout_encoder, model.dropout_projection) == dropouts
        assert model.dropout_words == 0.1
        assert (model.dim, model.joint, model.words, model.heads) == (512, 64, 300, 8)
        assert (config.epochs, config.learning_rate, config.batch_size) == (50, 1e-4, 256)


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--data.root", "own"], "--data.root: does not apply to --data.source rendered"),
        (
            ["ucf", "--data.root", "own", "--data.vectors", "w.txt"],
            "--data.vectors: does not",
        ),
        (
            ["folder", "--data.root", "own", "--data.split", "cls_split"],
            "--data.split: does not",
        ),
    ],
)
def test_a_flag_of_another_source_is_refused(arguments: list[str], flag: str, monkeypatch, capsys):
    assert flag in error_of(monkeypatch, capsys, *arguments)


def test_every_flag_of_a_source_is_a_field():
    names = {f.name for f in fields(DataConfig)}
    assert all(set(source.flags) <= names for source in SOURCES.values())
