"""The ridge regression beside the network: against scikit-learn and by NumPy in float64."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mdft.config.model import MotionConfig
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES, Stage
from mdft.errors import UserError
from mdft.model.regression import Regression
from mdft.runs.load import load_model
from mdft.systems.build import build
from mdft.systems.mdft import MDFTSystem
from mdft.training.trainer import Trainer
from tests.mdft.small import small_config, small_model

STRENGTH = 0.05


def config_of(modality: str = "both", motion: MotionConfig | None = None) -> TrainConfig:
    motion = motion or MotionConfig()
    return small_config(
        model=small_model(space="words", ridge=STRENGTH, modality=modality, motion=motion)
    )


def averages(clips: ClipSet, indices: np.ndarray) -> np.ndarray:
    """The mean features of each clip, one after the other."""
    found = []
    for i in indices:
        rows = slice(clips.offsets_N1[i], clips.offsets_N1[i + 1])
        found.append(np.concatenate([clips.audio_MD[rows], clips.visual_MD[rows]], 1))
    return np.stack([x_TF.astype(np.float64).mean(0) for x_TF in found])


def predicted(clips: ClipSet, stage: Stage, indices: np.ndarray) -> np.ndarray:
    """The unit vectors that scikit-learn's ridge regression predicts."""
    train = clips.splits[stage.train]
    x_NF, words_CW = averages(clips, train), clips.words_CW.astype(np.float64)
    unit_CW = words_CW / np.linalg.norm(words_CW, axis=1, keepdims=True)
    penalty = STRENGTH * np.square(x_NF - x_NF.mean(0)).sum() / x_NF.shape[1]
    ridge = Ridge(penalty, solver="svd").fit(x_NF, unit_CW[clips.labels_N[train]])
    found = ridge.predict(averages(clips, indices))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def fitted(clips: ClipSet, config: TrainConfig, stage: Stage) -> MDFTSystem:
    system = build(config)
    assert isinstance(system, MDFTSystem)
    system.fit(clips, stage)
    return system.eval()


@pytest.mark.parametrize(
    "motion", [MotionConfig(), MotionConfig(network="mlp"), MotionConfig(enabled=False)]
)
def test_training_starts_with_the_prediction_of_the_regression(
    ragged_clips: ClipSet, motion: MotionConfig
):
    system = fitted(ragged_clips, config_of(motion=motion), STAGES[0])
    indices = ragged_clips.splits["val_unseen"]
    found_BE = system(ragged_clips.batch(indices, 5)).o_av_BE.numpy(force=True)
    np.testing.assert_allclose(found_BE, predicted(ragged_clips, STAGES[0], indices), atol=2e-6)


def test_the_embedding_is_the_unit_vector_of_prediction_and_projection(ragged_clips: ClipSet):
    system = fitted(ragged_clips, config_of(), STAGES[0])
    indices = np.arange(0, len(ragged_clips), 7)
    plain = build(dataclasses.replace(config_of(), model=small_model(space="words"))).eval()
    projection = torch.nn.Linear(32, 300)
    system.av_proj[1].load_state_dict(projection.state_dict())
    own = {k: v for k, v in system.state_dict().items() if not k.startswith("regression")}
    plain.load_state_dict(own)
    plain.sphere = torch.nn.Identity()
    batch = ragged_clips.batch(indices)
    sum_BE = plain(batch).o_av_BE.numpy(force=True) + predicted(ragged_clips, STAGES[0], indices)
    expected_BE = sum_BE / np.linalg.norm(sum_BE, axis=1, keepdims=True)
    np.testing.assert_allclose(system(batch).o_av_BE.numpy(force=True), expected_BE, atol=2e-6)


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_the_regression_uses_the_modality_that_the_model_uses(clips: ClipSet, modality: str):
    system = fitted(clips, config_of(modality), STAGES[0])
    batch = clips.batch(np.arange(12))
    other = "visual" if modality == "audio" else "audio"
    noise = {f"{other}_BTD": torch.randn_like(batch.audio_BTD)}
    changed = dataclasses.replace(batch, **noise)
    assert torch.equal(system(batch).o_av_BE, system(changed).o_av_BE)


def test_each_stage_fits_its_own_training_clips_and_a_run_keeps_the_last(
    ragged_clips: ClipSet, tmp_path: Path
):
    Trainer(config_of(), ragged_clips, tmp_path, lambda record: None).run()
    model = load_model(tmp_path)
    assert isinstance(model, MDFTSystem) and model.regression is not None
    indices = ragged_clips.splits["test_unseen"]
    found_BW = model.semantics(ragged_clips.batch(indices)).r_BW
    assert found_BW is not None
    expected_BW = predicted(ragged_clips, STAGES[1], indices)
    np.testing.assert_allclose(found_BW.numpy(force=True), expected_BW, atol=2e-6)
    assert not np.allclose(predicted(ragged_clips, STAGES[0], indices), expected_BW, atol=0.01)


def test_the_prediction_is_in_float32_under_autocast():
    torch.manual_seed(0)
    regression = Regression(features=8, words=3, strength=STRENGTH)
    rng = np.random.default_rng(0)
    regression.fit(rng.normal(size=(20, 8)), rng.normal(size=(20, 3)))
    x_BF = torch.randn(5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found_BW = regression(x_BF)
    assert torch.equal(found_BW, regression(x_BF))


def test_a_regression_needs_the_space_of_words():
    with pytest.raises(
        UserError, match=r"ridge is 0.05, expected --model.ridge None, or --model.space words"
    ):
        small_model(ridge=STRENGTH).check()
