"""Ridge regression compared with least squares on an extended system."""

from __future__ import annotations

import numpy as np
import pytest

from mdft.errors import UserError
from mdft.systems.ridge import intercept, ridge


@pytest.mark.parametrize("features", [3, 30, 31, 80], ids=lambda f: f"{f} features of 30 clips")
def test_it_minimises_its_loss(features):
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 1, (30, features)), rng.normal(-3, 1, (30, 4))
    weight = ridge(x.astype(np.float32), y, 0.3)
    assert weight.shape == (features, 4) and weight.dtype == np.float64
    # Unknowns: the weight, penalised by rows of zeros, and the intercept, which is not.
    x = x.astype(np.float32).astype(np.float64)
    rows = np.block([[x, np.ones((30, 1))],
                     [np.sqrt(0.3 * 30) * np.eye(features), np.zeros((features, 1))]])  # fmt: skip
    solution = np.linalg.lstsq(rows, np.vstack([y, np.zeros((features, 4))]), rcond=None)[0]
    np.testing.assert_allclose(weight, solution[:-1], atol=1e-9)
    np.testing.assert_allclose(intercept(x, y, weight), solution[-1], atol=1e-8)


def test_by_hand():
    """Inputs −1 and 1, targets 0 and 4: slope 4 / (2 + 2 · strength), intercept 2."""
    x, y = np.array([[-1.0], [1.0]]), np.array([[0.0], [4.0]])
    for strength in (1e-9, 1.0, 3.0):
        weight = ridge(x, y, strength)
        assert weight.item() == pytest.approx(4 / (2 + 2 * strength))
        assert intercept(x, y, weight).item() == pytest.approx(2)


def test_repeated_clips_change_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 2))
    twice = ridge(np.tile(x, (2, 1)), np.tile(y, (2, 1)), 0.1)
    np.testing.assert_allclose(twice, ridge(x, y, 0.1), atol=1e-12)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="strength is 0, expected above 0"):
        ridge(np.ones((3, 2)), np.ones((3, 1)), 0)
    with pytest.raises(UserError, match="clips is 0, expected at least one"):
        ridge(np.ones((0, 2)), np.ones((0, 1)), 1)
