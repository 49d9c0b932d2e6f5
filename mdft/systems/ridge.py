"""Ridge regression in closed form."""

from __future__ import annotations

import numpy as np


def ridge(
    x_NF: np.ndarray, y_NW: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``argmin_A ‖(X − x̄) A − (Y − ȳ)‖² + λ ‖A‖²`` in float64.

    λ is ``strength`` times the mean diagonal of ``XᵀX``, X centred. The smaller of two equivalent
    systems is solved: ``A = (XᵀX + λI)⁻¹ XᵀY = Xᵀ (XXᵀ + λI)⁻¹ Y``.

    Args:
        x_NF: inputs.
        y_NW: targets.
        strength: relative strength, above 0.

    Returns:
        A (F, W), x̄ (F,) and ȳ (W,).

    Example:
        >>> A, x, y = ridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), 1e-9)
        >>> [round(v.item(), 6) for v in (A, x, y)]
        [2.0, 1.0, 3.0]
    """
    x_NF, y_NW = x_NF.astype(np.float64), y_NW.astype(np.float64)
    mean_F, mean_W = x_NF.mean(0), y_NW.mean(0)
    x_NF, y_NW = x_NF - mean_F, y_NW - mean_W
    n, features = x_NF.shape
    penalty = strength * max(float(np.square(x_NF).sum()) / features, 1e-12)
    if n < features:
        dual_NN = x_NF @ x_NF.T + penalty * np.eye(n)
        return x_NF.T @ np.linalg.solve(dual_NN, y_NW), mean_F, mean_W
    normal_FF = x_NF.T @ x_NF + penalty * np.eye(features)
    return np.linalg.solve(normal_FF, x_NF.T @ y_NW), mean_F, mean_W
