"""Whitened features: against SciPy's matrix square root, in batches, in runs and on the command
line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power

from mdft import train as command
from mdft.config.data import DataConfig
from mdft.data import scale
from mdft.data.dataset import ClipSet
from mdft.data.sources import SOURCES, Source, load_clips
from mdft.data.standardise import averaged_over_clips, standardised, whitened
from mdft.data.video.clip import ClipFeatures
from mdft.errors import UserError
from mdft.model.regression import ridge
from mdft.runs.preprocessing import preprocessing_of, read_preprocessing, write_preprocessing
from tests.mdft.small import FLAGS, random_clips

pytestmark = pytest.mark.rounding


def correlated(n: int, width: int, seed: int = 0) -> np.ndarray:
    """Features with a mean whose covariance has eigenvalues over some orders of magnitude."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, width)) * np.logspace(1, -2, width)
    return (3 + mixed @ rng.normal(size=(width, width))).astype(np.float32)


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 99))
def test_it_is_the_inverse_square_root_of_the_covariance(n: int, width: int, seed: int):
    """Also with more features than rows, where the covariance is singular."""
    x_MD = correlated(n, width, seed)
    y_MD = scale.whitening(x_MD, np.arange(n))(x_MD)
    z_MD = scale.measure(x_MD, np.arange(n))(x_MD).astype(np.float64)
    covariance_DD = z_MD.T @ z_MD / n
    expected_MD = z_MD @ fractional_matrix_power(covariance_DD + np.eye(width), -0.5)
    expected_MD /= expected_MD.std(axis=0)
    np.testing.assert_allclose(y_MD, expected_MD, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(y_MD.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(y_MD.std(axis=0), 1, rtol=1e-3)


def test_it_flattens_the_spectrum():
    x_MD = correlated(2000, 16)
    rows = np.arange(2000)

    def spread(y_MD: np.ndarray) -> float:
        values = np.linalg.eigvalsh(np.cov(y_MD.T))
        return float(values[-1] / values[len(values) // 2])

    assert spread(scale.whitening(x_MD, rows)(x_MD)) < spread(scale.measure(x_MD, rows)(x_MD)) / 5


def test_only_the_given_rows_count_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch):
    x_MD, rows = correlated(300, 6), np.arange(0, 300, 3)
    whole = scale.whitening(x_MD, rows)
    changed = x_MD.copy()
    changed[np.setdiff1d(np.arange(300), rows)] = 1e6
    monkeypatch.setattr(scale, "CHUNK", 7)
    parts = scale.whitening(changed, rows)
    np.testing.assert_allclose(parts.rows_XD, whole.rows_XD, rtol=1e-9, atol=1e-12)


def test_a_constant_feature_stays_zero():
    x_MD = correlated(50, 4)
    x_MD[:, 2] = 7
    y_MD = scale.whitening(x_MD, np.arange(50))(x_MD)
    assert np.isfinite(y_MD).all() and abs(y_MD[:, 2]).max() < 1e-6


@pytest.mark.parametrize("measure", [scale.measure, scale.whitening])
def test_a_scale_survives_its_file(measure):
    x_MD = correlated(20, 5)
    found = measure(x_MD, np.arange(20))
    np.testing.assert_array_equal(scale.Scale.of_rows(found.rows_XD)(x_MD), found(x_MD))
    assert (scale.Scale.of_rows(found.rows_XD).map_DD is None) == (measure is scale.measure)


@pytest.mark.parametrize("shape", [(1, 5), (3, 5), (8, 5), (5,)])
def test_rows_of_no_scale_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="a scale of shape"):
        scale.Scale.of_rows(np.ones(shape))


def test_a_run_with_a_scale_of_another_shape_is_refused(source: ClipSet, tmp_path: Path):
    data = DataConfig(source="mine")
    found = preprocessing_of(data, load_clips(data))
    lines = np.ones(source.audio_MD.shape[1])
    broken = scale.Scale(lines, lines, np.ones((1, len(lines))))
    write_preprocessing(tmp_path, replace(found, scales={"audio": broken, "visual": broken}))
    with pytest.raises(UserError, match=r"classes.safetensors: .*a scale of shape \(3, 32\)"):
        read_preprocessing(tmp_path)


def test_a_ridge_regression_predicts_the_same_from_whitened_features():
    """A closed formula with next to no penalty does not see an invertible map of its input."""
    x_MD, rows = correlated(400, 6), np.arange(400)
    y_MW = np.random.default_rng(1).normal(size=(400, 2)) + x_MD[:, :2]
    found = []
    for measure in (scale.measure, scale.whitening):
        z_MD = measure(x_MD, rows)(x_MD).astype(np.float64)
        map_DW, mean_D, mean_W = ridge(z_MD, y_MW, 1e-12)
        found.append((z_MD - mean_D) @ map_DW + mean_W)
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> ClipSet:
    """The clips of a data source ``mine``."""
    clips = replace(random_clips(), provenance=None)
    monkeypatch.setitem(SOURCES, "mine", Source("mine", lambda config: standardised(clips)))
    return clips


def test_the_option_whitens_what_the_system_sees(source: ClipSet):
    """Averages are whitened as averages."""
    index = np.arange(len(source))
    for average in (False, True):
        data = DataConfig(source="mine", whiten=True, average=average)
        seen = averaged_over_clips(source) if average else source
        expected, found = whitened(seen).batch(index), load_clips(data).batch(index)
        np.testing.assert_array_equal(found.audio_BTD, expected.audio_BTD)
        np.testing.assert_array_equal(found.visual_BTD, expected.visual_BTD)
        np.testing.assert_array_equal(found.events_BTKD, expected.events_BTKD)
        plain = load_clips(replace(data, whiten=False)).batch(index)
        assert not np.allclose(plain.visual_BTD, found.visual_BTD)


def test_a_run_whitens_a_clip_as_in_training(
    source: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    words = f"debug --data.source mine --data.whiten {FLAGS} --epochs 1 --device cpu --out {run}"
    monkeypatch.setattr(sys, "argv", ["mdft.train", *words.split()])
    assert command.main() == 0
    context = read_preprocessing(run)
    clips = load_clips(DataConfig(source="mine", whiten=True))
    rows, _ = clips.rows(np.array([5]))
    given = ClipFeatures(clips.audio_MD[rows], clips.visual_MD[rows], clips.events_MKD[rows], 25.0)
    batch, expected = context.batch([given]), clips.batch(np.array([5]))
    np.testing.assert_allclose(batch.audio_BTD, expected.audio_BTD, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(batch.visual_BTD, expected.visual_BTD, rtol=1e-6, atol=1e-6)
