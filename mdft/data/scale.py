"""Standardisation of features: statistics in float64, computed once and applied to each batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Rows processed at a time: 64 MiB of 512 features in float64.
CHUNK = 16384
#: Lower bound of the deviation, so that an almost constant feature is not amplified.
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Scale:
    """``(x − mean) / deviation``, feature by feature.

    Attributes:
        mean_D: (D,) float64.
        deviation_D: (D,) float64, at least 0.001.
    """

    mean_D: np.ndarray
    deviation_D: np.ndarray

    def __call__(self, features_MD: np.ndarray) -> np.ndarray:
        """Standardise (…, D) features; float32."""
        return ((features_MD - self.mean_D) / self.deviation_D).astype(np.float32)


def measure(features_MD: np.ndarray, rows: np.ndarray) -> Scale:
    """Mean and standard deviation of the features over some rows, in float64 and bounded memory.

    Args:
        features_MD: (M, D), possibly a memory map.
        rows: (m,) indices of the rows; other rows have no influence.
    """
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    total_D = np.sum(
        [features_MD[chunk].astype(np.float64).sum(axis=0) for chunk in chunks], axis=0
    )
    mean_D = total_D / len(rows)
    squares_D = np.sum(
        [((features_MD[chunk] - mean_D) ** 2).sum(axis=0) for chunk in chunks], axis=0
    )
    return Scale(mean_D, np.maximum(np.sqrt(squares_D / len(rows)), _LEAST_DEVIATION))
