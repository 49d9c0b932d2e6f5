"""Ridge regression in closed form, from the features of clips to word vectors."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from mdft.errors import require


def ridge(x_NF: np.ndarray, w_NW: np.ndarray, strength: float) -> np.ndarray:
    """Weight of a ridge regression with an intercept: (F, W) float64.

    It minimises ``‖X·weight − Y‖² + strength·N·‖weight‖²``, where X and Y are the arguments minus
    their means over the N clips; the intercept is therefore not penalised (:func:`intercept`). The
    smaller one of the systems of F and of N equations is solved, by Cholesky in float64.

    Args:
        x_NF: (N, F) inputs.
        w_NW: (N, W) targets.
        strength: above 0; relative to N, so that it does not depend on the number of clips.

    Raises:
        UserError: the strength is not positive, or there is no clip.
    """
    require(strength > 0, "strength", strength, "above 0")
    n, features = x_NF.shape
    require(n > 0, "clips", n, "at least one")
    x = x_NF.astype(np.float64) - x_NF.mean(axis=0, dtype=np.float64)
    y = w_NW.astype(np.float64) - w_NW.mean(axis=0, dtype=np.float64)
    if features <= n:
        gram = x.T @ x
        gram.flat[:: features + 1] += strength * n
        return linalg.solve(gram, x.T @ y, assume_a="pos")
    gram = x @ x.T
    gram.flat[:: n + 1] += strength * n
    return x.T @ linalg.solve(gram, y, assume_a="pos")


def intercept(x_NF: np.ndarray, w_NW: np.ndarray, weight_FW: np.ndarray) -> np.ndarray:
    """The (W,) float64 intercept that belongs to a weight: a mean input has the mean target."""
    return w_NW.mean(axis=0, dtype=np.float64) - x_NF.mean(axis=0, dtype=np.float64) @ weight_FW
