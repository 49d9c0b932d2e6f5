"""The table of data sources: what a new entry gets, and what a wrong one is told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from mdft import train as command
from mdft.config import DataConfig
from mdft.data.dataset import ClipSet, Provenance
from mdft.data.sources import SOURCES, Source, load_clips
from mdft.errors import UserError
from mdft.runs.folder import read_config
from mdft.training.run import fit
from tests.mdft.small import FLAGS, random_clips, small_config


@pytest.fixture
def mine(monkeypatch) -> Source:
    """A source with one flag of its own and a check."""

    def load(config: DataConfig) -> ClipSet:
        return replace(random_clips(seed=config.split_seed), provenance=None)

    def check(config: DataConfig) -> None:
        if config.split_seed > 9:
            raise UserError(f"--data.split-seed {config.split_seed}: expected 0 to 9")

    source = Source("mine", load, flags=("split_seed",), check=check)
    monkeypatch.setitem(SOURCES, "mine", source)
    return source


def run(monkeypatch, arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mdft.train", *arguments.split()])
    return command.main()


def test_a_new_source_is_on_the_command_line(mine, tmp_path, monkeypatch):
    out = tmp_path / "run"
    words = f"debug --data.source mine --data.split-seed 3 {FLAGS} --epochs 1 --device cpu"
    assert run(monkeypatch, f"{words} --out {out}") == 0
    assert read_config(out).data == DataConfig(
        source="mine", split_seed=3, rendered=read_config(out).data.rendered
    )
    assert 0 <= json.loads((out / "results.json").read_text())["hm"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data.split-seed 12", "--data.split-seed 12: expected 0 to 9"),
        ("--data.root here", "--data.root: does not apply to --data.source mine; remove it"),
    ],
)
def test_flags_are_checked_before_anything_is_written(
    mine, arguments: str, message: str, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    with pytest.raises(UserError, match=message):
        run(monkeypatch, f"debug --data.source mine {FLAGS} {arguments} --out {out}")
    assert not out.exists()


def test_a_source_that_is_not_in_the_table_is_refused_with_the_nearest():
    with pytest.raises(
        UserError, match="expected one of rendered, order, files, folder; did you mean 'f"
    ):
        load_clips(DataConfig(source="folders"))


def test_a_source_without_provenance_is_recorded_by_its_name(mine):
    assert load_clips(DataConfig(source="mine")).provenance == Provenance("mine")


def test_clips_of_another_source_than_the_configuration_names_do_not_train(
    mine, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "mdft.training.run.load_clips", lambda config: random_clips()
    )  # whose provenance is "random"
    with pytest.raises(UserError, match=r"data\.source is 'mine', expected 'random'"):
        fit(small_config(data=DataConfig(source="mine")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
