"""The fingerprint of a run: equal where the results are, in this release and in later ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from mdft.config import compat
from mdft.config.recipes import RECIPES, debug
from mdft.config.train import ComputeConfig, TrainConfig
from mdft.errors import UserError
from mdft.experiments.ablations import changed
from mdft.runs.folder import config_json, write_config
from mdft.runs.settings import fingerprint, result_depends_on
from mdft.training.run import check_same


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cpu"},
        {"data.cache": "elsewhere"},
        {"compute": ComputeConfig(feed="stream", compile="default")},
        {"baseline.avca.score": "both"},  # of a baseline that is not trained
    ],
)
def test_what_changes_no_result_changes_no_fingerprint(change: dict):
    assert fingerprint(changed(debug(), change)) == fingerprint(debug())


def test_whatever_changes_the_result_changes_the_fingerprint():
    configs = [recipe() for recipe in RECIPES.values()]
    configs = [c for i, c in enumerate(configs) if c not in configs[:i]]
    for field, value in {
        "seed": 1,
        "epochs": 3,
        "system": "avca",
        "model.ridge": 0.05,
        "model.motion.weight_bits": 6,
        "data.whiten": True,
        "data.rendered.seed": 9,
        "compute": ComputeConfig(reproducible=True),
        "compute.autocast": True,
    }.items():
        configs.append(changed(debug(), {field: value}))
    assert len({fingerprint(c) for c in configs}) == len(configs)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_field_that_is_added_changes_no_fingerprint(recipe: str, monkeypatch: pytest.MonkeyPatch):
    """A release before ``patience`` had its own list of fields, and wrote no ``patience``."""
    config = replace(RECIPES[recipe](), patience=None)
    now = fingerprint(config)
    fields = {name: value for name, value in _json(config).items() if name != "patience"}
    monkeypatch.setattr("mdft.runs.settings.lean", lambda content: fields)
    monkeypatch.setattr(compat, "ADDED", tuple(f for f in compat.ADDED if f != "patience"))
    assert fingerprint(config) == now


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("system", ["mdft", "sje", "clipclap"])
def test_a_run_is_resumed_by_its_own_settings(recipe: str, system: str, tmp_path: Path):
    """Also where the recipe has hyperparameters of a baseline that is not trained."""
    config = changed(RECIPES[recipe](), {"system": system, "data.root": tmp_path})
    write_config(tmp_path, config)
    check_same(tmp_path, config)
    with pytest.raises(UserError, match="made with another compute"):
        check_same(tmp_path, changed(config, {"compute.autocast": True}))
    if system != "mdft":
        config = changed(config, {f"baseline.{system}.learning_rate": 0.5})
        with pytest.raises(UserError, match="made with another baseline"):
            check_same(tmp_path, config)


def test_what_is_left_out_is_put_back():
    defaults = _json(TrainConfig())
    for recipe in RECIPES.values():
        content = compat.lean(_json(recipe()))
        short = compat.of_every_release(content, defaults)
        assert len(short) < len(content)
        assert compat.lean(compat.completed(short, defaults)) == content


def _json(config: TrainConfig) -> dict:
    return compat.lean(config_json(result_depends_on(config)))
