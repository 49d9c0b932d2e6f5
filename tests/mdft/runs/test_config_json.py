"""``config.json``: of earlier releases, without what is not used, and what is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdft.config.train import TrainConfig
from mdft.errors import UserError
from mdft.runs.folder import read_config, write_config
from mdft.systems.build import BASELINES
from tests.mdft.small import small_config
from tests.mdft.small_baselines import SYSTEMS, system_config

#: Dotted name → value of today's defaults; written out, so that a changed default is noticed.
LATER = {
    "data.vectors": None,
    "data.splits": None,
    "data.split_seed": 0,
    "system": "mdft",
    "init": None,
    "model.motion.arithmetic": "float",
    "model.motion.weight_bits": 8,
}


def parent_of(saved: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    *outer, last = field.split(".")
    for name in outer:
        saved = saved[name]
    return saved, last


def remove(field: str) -> Callable[[dict], None]:
    def change(saved: dict) -> None:
        parent, last = parent_of(saved, field)
        del parent[last]

    return change


def put(field: str, value: Any) -> Callable[[dict], None]:
    def change(saved: dict) -> None:
        parent, last = parent_of(saved, field)
        parent[last] = value

    return change


def after(folder: Path, config: TrainConfig, *changes: Callable[[dict], None]) -> TrainConfig:
    """The configuration that is read after changes to its file."""
    write_config(folder, config)
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    for change in changes:
        change(saved)
    path.write_text(json.dumps(saved))
    return read_config(folder)


def test_a_run_of_an_earlier_release_has_the_defaults_of_what_came_later(tmp_path: Path):
    config = dataclasses.replace(small_config(), seed=7, learning_rate=0.25)
    old = after(tmp_path, config, *map(remove, [*LATER, "data.extract", "baseline"]))
    assert old == config
    found = dataclasses.asdict(old)
    for field, value in LATER.items():
        parent, last = parent_of(found, field)
        assert parent[last] == value


@pytest.mark.parametrize("name", SYSTEMS)
def test_only_the_baseline_that_is_used_is_saved(tmp_path: Path, name: str):
    config = system_config(name)
    write_config(tmp_path, config)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert list(saved["baseline"]) == ([name] if name in BASELINES else [])
    assert read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([remove("epochs")], "field epochs is missing"),
        ([remove("data.split")], "field data.split is missing"),
        ([remove("model.motion")], "field model.motion is missing"),
        ([remove("baseline.sje")], "field baseline.sje is missing"),
        ([remove("baseline")], "field baseline.sje is missing"),
        ([remove("baseline.sje.margin")], "field baseline.sje.margin is missing"),
        ([put("baseline.nope", {})], "field baseline.nope is .*unknown"),
        ([put("baseline", [])], "field baseline"),
        ([put("system", ["sje"])], "field system"),
        ([put("data", 3)], "field data"),
        ([put("epochs", "two")], "field epochs"),
        ([put("epochs", 2.5)], "field epochs"),
        ([put("baseline.sje.normalise", 1)], "field baseline.sje.normalise"),
        ([put("model.motion.weight_bits", "8")], "field model.motion.weight_bits"),
    ],
)
def test_any_other_difference_is_refused(tmp_path: Path, changes: list, message: str):
    with pytest.raises(UserError, match=rf"config\.json: {message}"):
        after(tmp_path, system_config("sje"), *changes)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_a_file_that_holds_no_fields_is_refused(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: field \(whole file\)"):
        read_config(tmp_path)
