"""Standardisation: measured once in float64, streamed, applied to each batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Rows at a time: 64 MiB of 512 features in float64.
CHUNK = 16384
#: A feature that hardly varies is not blown up.
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
    """Mean and deviation of the features in some rows, in float64, in bounded memory.

    Args:
        features_MD: (M, D), a memory map perhaps.
        rows: (m,) which rows; nothing is learned from any other.
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
