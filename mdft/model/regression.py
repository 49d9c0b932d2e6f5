"""Ridge regression in closed form, and its prediction as a part of MDFT's embedding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.lif.precision import at_least_float32, full_precision


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


class Regression(nn.Module):
    """``r = p/‖p‖, p = (x̄ − μ) A + ν``: the word vector that a ridge regression predicts.

    x̄ are the features of both modalities, averaged over the clip. A, μ and ν are fitted once to
    the unit word vectors of the training clips (:meth:`fit`) and are not trained. It is not in the
    paper. On few clips descent ends before it has learned from weak but telling directions of the
    features; a closed form does not (docs/spikes.md, Features alone).

    Args:
        features: width of both modalities' features together, F.
        words: width of the word vectors, W.
        strength: of :func:`ridge`.

    Example:
        >>> regression = Regression(features=5, words=3, strength=1e-6)
        >>> regression.fit(np.eye(6, 5), np.eye(6, 3) + np.eye(6, 3, -3))
        >>> regression(torch.eye(6, 5))[3:5].round(decimals=3)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """

    map_FW: Tensor
    mean_F: Tensor
    mean_W: Tensor

    def __init__(self, features: int, words: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("map_FW", torch.zeros(features, words))
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("mean_W", torch.zeros(words))

    def extra_repr(self) -> str:
        """Widths and strength."""
        features, words = self.map_FW.shape
        return f"features={features}, words={words}, strength={self.strength}"

    def fit(self, x_NF: np.ndarray, words_NW: np.ndarray) -> None:
        """Fit the regression in float64.

        Args:
            x_NF: averaged features of the training clips.
            words_NW: the word vectors of their classes, none of them 0.
        """
        unit_NW = words_NW / np.linalg.norm(words_NW, axis=-1, keepdims=True)
        found = ridge(x_NF, unit_NW, self.strength)
        for buffer, value in zip((self.map_FW, self.mean_F, self.mean_W), found, strict=True):
            buffer.copy_(torch.from_numpy(value))

    def forward(self, x_BF: Tensor) -> Tensor:
        """``r`` (B,W), in float32 or better, also under autocast."""
        with full_precision(x_BF.device.type):
            p_BW = (at_least_float32(x_BF) - self.mean_F) @ self.map_FW + self.mean_W
            return F.normalize(p_BW, dim=-1)
