"""Ridge regression, class means, GRU and transformer against solutions found another way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mdft.config.baselines import PENALISED, STRENGTHS, BaselinesConfig, RidgeConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.data.standardise import with_events_as_features
from mdft.errors import UserError
from mdft.model.regression import ridge
from mdft.runs.folder import METRICS
from mdft.systems.build import build
from mdft.systems.ridge import ClassMeans, Ridge
from mdft.systems.sequence import positions
from mdft.training.trainer import Trainer
from tests.mdft.small import small_config
from tests.mdft.small_baselines import system_config

STAGE = STAGES[0]


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (12, 12)])
def test_ridge_solves_the_augmented_least_squares(shape: tuple[int, int]):
    """Rows √λ·I appended to X, and zeros to Y, make the penalty a plain least-squares problem."""
    rng = np.random.default_rng(0)
    x_NF, y_NW = rng.normal(3, 2, shape), rng.normal(-1, 1, (shape[0], 4))
    for strength in (1e-3, 1.0, 1e3):
        map_FW, mean_F, mean_W = ridge(x_NF, y_NW, strength)
        centred = x_NF - x_NF.mean(0)
        penalty = strength * np.mean(np.diag(centred.T @ centred))
        augmented = np.concatenate([centred, np.sqrt(penalty) * np.eye(shape[1])])
        target = np.concatenate([y_NW - y_NW.mean(0), np.zeros((shape[1], 4))])
        expected = np.linalg.lstsq(augmented, target, rcond=None)[0]
        np.testing.assert_allclose(map_FW, expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(mean_F, x_NF.mean(0))
        np.testing.assert_allclose(mean_W, y_NW.mean(0))


def inputs_by_loop(clips: ClipSet, i: int, config: RidgeConfig, steps: int) -> np.ndarray:
    rows, _ = clips.rows(np.array([i]))
    audio = clips.standardised("audio", clips.audio_MD[rows])
    visual = clips.standardised("visual", clips.visual_MD[rows]).copy()
    if config.use == "events":
        found = visual[:, -512:]
    else:
        visual[:, -512:] *= config.events_weight
        found = np.concatenate([audio, visual], axis=1)
    if config.time == "mean":
        return found.astype(np.float64).mean(0)
    row = np.zeros((steps, found.shape[1]))
    row[: len(found)] = found
    return row.ravel()


@pytest.mark.parametrize("use", ["all", "events"])
@pytest.mark.parametrize("time", ["mean", "steps"])
def test_ridge_predicts_what_the_regression_predicts(wide_clips: ClipSet, use, time):
    config = RidgeConfig(use=use, time=time, events_weight=2.0)
    system = Ridge(ModelConfig(), config)
    train, test = wide_clips.splits[STAGE.train], wide_clips.splits[STAGE.unseen]
    steps = int(wide_clips.seconds_N[train].max())
    x_NF = np.stack([inputs_by_loop(wide_clips, i, config, steps) for i in train])
    words_NW = wide_clips.words_CW[wide_clips.labels_N[train]]
    system.prepare(wide_clips, STAGE, epoch=9)
    map_FW, mean_F, mean_W = ridge(x_NF, words_NW, STRENGTHS[9])
    found = system.embed_clips(wide_clips.batch(test)).o_BRE[:, 0].numpy()
    for row, i in zip(found, test, strict=True):
        x_F = inputs_by_loop(wide_clips, i, config, max(steps, int(wide_clips.seconds_N[i])))
        expected = (x_F[: len(mean_F)] - mean_F) @ map_FW + mean_W
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)
    system.prepare(wide_clips, STAGE, epoch=len(STRENGTHS) - 1)
    assert not torch.equal(system.map_FW, torch.from_numpy(map_FW))


@pytest.fixture
def wide_clips(ragged_clips: ClipSet) -> ClipSet:
    """Events of 512 channels beside the features."""
    channels = ragged_clips.events_MKD.shape[-1]
    events = np.repeat(ragged_clips.events_MKD, 512 // channels, axis=-1)
    return with_events_as_features(dataclasses.replace(ragged_clips, events_MKD=events))


def test_class_means_are_the_means(ragged_clips: ClipSet):
    system = ClassMeans(ModelConfig(), BaselinesConfig().means)
    system.prepare(ragged_clips, STAGE, epoch=4)
    train = ragged_clips.splits[STAGE.train]
    classes = np.unique(ragged_clips.labels_N[train])
    everything = system.embed_clips(ragged_clips.batch(train)).o_BRE[:, 0].numpy()
    labels = ragged_clips.labels_N[train]
    means = np.stack([everything[labels == c].mean(0) for c in classes])
    words = torch.from_numpy(ragged_clips.words_CW[classes])
    np.testing.assert_allclose(system.embed_words(words).numpy(), means, rtol=1e-9)
    unseen = ragged_clips.classes_of(STAGE.unseen)
    map_WF, mean_W, mean_F = ridge(ragged_clips.words_CW[classes], means, STRENGTHS[4])
    expected = (ragged_clips.words_CW[unseen] - mean_W) @ map_WF + mean_F
    found = system.embed_words(torch.from_numpy(ragged_clips.words_CW[unseen])).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_padding_changes_nothing_and_order_does(ragged_clips: ClipSet, name: str):
    torch.manual_seed(0)
    system = build(system_config(name)).eval()
    clip = np.array([int(ragged_clips.seconds_N.argmax())])
    assert int(ragged_clips.seconds_N[clip[0]]) > 1
    alone = ragged_clips.batch(clip)
    padded = ragged_clips.batch(clip, alone.audio_BTD.shape[1] + 3)
    o_BE, again_BE = (system.embed_clips(b).o_BRE[:, 0] for b in (alone, padded))
    torch.testing.assert_close(o_BE, again_BE, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(o_BE.norm(dim=1), torch.ones(1))
    turned = dataclasses.replace(
        alone, audio_BTD=alone.audio_BTD.flip(1), visual_BTD=alone.visual_BTD.flip(1)
    )
    assert (system.embed_clips(turned).o_BRE[:, 0] - o_BE).abs().max() > 1e-4


def test_the_nearest_word_has_the_largest_cosine(ragged_clips: ClipSet):
    torch.manual_seed(0)
    system = build(system_config("gru")).eval()
    found = system.embed_clips(ragged_clips.batch(np.arange(12)))
    words_CW = torch.from_numpy(ragged_clips.words_CW)
    distances_BC = system.distances(found, system.embed_words(words_CW))
    cosine_BC = F.cosine_similarity(found.o_BRE, words_CW[None], dim=-1).detach().numpy()
    assert (distances_BC.argmin(1) == cosine_BC.argmax(1)).all()


@pytest.mark.parametrize("name", PENALISED)
def test_all_strengths_are_tried(name: str, clips: ClipSet, tmp_path: Path):
    """Whatever ``epochs`` and ``patience``; the strength is the first of the best on validation."""
    config = small_config(system=name, epochs=1, patience=1)
    results = Trainer(config, clips, tmp_path, lambda record: None).run()
    lines = (tmp_path / METRICS).read_text().splitlines()
    hms = [r["val"]["hm"] for r in map(json.loads, lines) if "val" in r]
    assert len(hms) == len(STRENGTHS) == 17
    assert results.epoch == hms.index(max(hms))


def test_positions_by_hand():
    found = positions(3, 4).numpy()
    t = np.arange(3)
    np.testing.assert_allclose(found[:, 0], np.sin(t), rtol=1e-12)
    np.testing.assert_allclose(found[:, 3], np.cos(t / 100), rtol=1e-12)


def test_options_of_events_need_the_events():
    config = system_config("ridge", use="events")
    with pytest.raises(UserError, match=r"inputs is 'features', expected features\+events"):
        config.check()
    dataclasses.replace(
        config, data=dataclasses.replace(config.data, inputs="features+events")
    ).check()
