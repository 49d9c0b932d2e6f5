"""The two-stage protocol: the same twice, the same resumed, saved and loaded whole."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mdft import gzsl, load
from mdft.config import LossConfig, MotionConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.evaluation import exact_distances, score_split
from mdft.runs import Results, read_config, read_results, read_tensors, run_folder, write_config
from mdft.trainer import Trainer
from tests.mdft.small import small_config


def run(
    clips: ClipSet, folder: Path, *, resume: bool = False, config=None, stop_after=None
) -> Results:
    folder.mkdir(exist_ok=True)
    seen = 0

    def report(record: dict) -> None:
        nonlocal seen
        seen += "loss" in record
        if stop_after is not None and seen > stop_after:
            raise KeyboardInterrupt

    return Trainer(config or small_config(), clips, folder, report).run(resume=resume)


def records_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_one_seed_one_result_bit_for_bit(clips: ClipSet, tmp_path: Path):
    first = run(clips, tmp_path / "a")
    second = run(clips, tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)
    metrics = [(tmp_path / n / "metrics.jsonl").read_text() for n in "ab"]
    assert metrics[0] == metrics[1]
    other = run(clips, tmp_path / "c", config=small_config(seed=1))
    assert weights(tmp_path / "c") != weights(tmp_path / "a")
    assert other.seed == 1


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    clips: ClipSet, tmp_path: Path, stop_after: int
):
    run(clips, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(clips, tmp_path / "cut", stop_after=stop_after)
    run(clips, tmp_path / "cut", resume=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    for name in ("metrics.jsonl", "config.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_stage_1_keeps_the_first_best_epoch_and_its_beta(clips: ClipSet, tmp_path: Path):
    results = run(clips, tmp_path / "r", config=small_config(epochs=4))
    records = records_of(tmp_path / "r")
    stage_1 = [r for r in records if r["stage"] == "stage_1"]
    hms = [r["val"]["hm"] for r in stage_1]
    assert len(stage_1) == 4
    assert results.epoch == hms.index(max(hms))
    assert results.beta == stage_1[results.epoch]["val"]["beta"]
    stage_2 = [r for r in records if r["stage"] == "stage_2"]
    assert [r["epoch"] for r in stage_2] == list(range(results.epoch + 1))
    assert all("val" not in r for r in stage_2)


def test_the_loaded_model_reprints_the_saved_scores(clips: ClipSet, tmp_path: Path):
    results = run(clips, tmp_path / "r")
    for place in (tmp_path / "r", tmp_path / "r" / "model.safetensors"):
        model = load(place)
        assert not model.training
        split = score_split(model, clips, "test_seen", "test_unseen", batch_size=24)
        again = gzsl.scores(split.distances, split.labels, split.seen, results.beta)
        assert (again.seen, again.unseen, again.hm, again.zsl) == (
            results.seen, results.unseen, results.hm, results.zsl,
        )  # fmt: skip
        assert split.firing_rates == results.firing_rates
    assert results.zsl >= results.unseen
    assert read_results(tmp_path / "r") == results
    assert read_config(tmp_path / "r") == small_config()


def test_training_learns(clips: ClipSet, tmp_path: Path):
    run(clips, tmp_path / "r", config=small_config(epochs=20))
    records = records_of(tmp_path / "r")
    assert records[19]["loss"]["total"] < 0.6 * records[0]["loss"]["total"]
    # Held-out clips of 8 seen classes among 10 candidates.
    assert max(r["val"]["seen"] for r in records[:20]) > 0.5


def test_every_parameter_is_in_the_optimizer(clips: ClipSet, tmp_path: Path, monkeypatch):
    seen = []
    original = torch.optim.Adam

    def spy(parameters, **arguments):
        seen.append(list(parameters))
        return original(seen[-1], **arguments)

    monkeypatch.setattr("mdft.trainer.Adam", spy)
    run(clips, tmp_path / "r", config=small_config(epochs=1))
    model = load(tmp_path / "r")
    assert [p.shape for p in seen[-1]] == [p.shape for p in model.parameters()]


def test_every_parameter_moves(clips: ClipSet, tmp_path: Path):
    run(clips, tmp_path / "r", config=small_config(epochs=2))
    state, progress = read_tensors(tmp_path / "r" / "trainer.safetensors")
    count = sum(1 for _ in load(tmp_path / "r").parameters())
    for index in range(count):
        assert state[f"optimizer.{index}.exp_avg_sq"].any()
    assert progress["stage"] == 1


def test_without_motion_trains_too(clips: ClipSet, tmp_path: Path):
    config = small_config(
        model=dataclasses.replace(small_config().model, motion=MotionConfig(enabled=False)),
        loss=LossConfig(reconstruction=False, margin=0.5),
    )
    assert run(clips, tmp_path / "r", config=config).firing_rates == {}


def test_distances_are_euclidean_in_float64():
    x, y = torch.randn(5, 7), torch.randn(4, 7)
    expected = [[np.linalg.norm((a - b).double().numpy()) for b in y] for a in x]
    np.testing.assert_allclose(exact_distances(x, y), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors there"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 40), "not a whole safetensors"),
        (
            lambda f: (f / "config.json").write_text('{"epochs": "many"}'),
            "config.json: field epochs",
        ),
        (
            lambda f: write_config(f, small_config(model=small_config().model.__class__())),
            "not fit",
        ),
    ],
)
def test_damaged_runs_are_named(clips: ClipSet, tmp_path: Path, damage, message: str):
    run(clips, tmp_path / "r", config=small_config(epochs=1))
    damage(tmp_path / "r")
    with pytest.raises(UserError, match=message):
        load(tmp_path / "r")


def test_a_folder_without_a_run_is_named(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"no config.json there, expected the folder of a finished run"
    ):
        run_folder(tmp_path)
