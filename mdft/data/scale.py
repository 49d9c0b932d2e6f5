"""Standardisation and whitening of features: measured once in float64, applied to each batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

#: Rows processed at a time: 64 MiB of 512 features in float64.
CHUNK = 16384
#: Lower bound of the deviation, so that an almost constant feature is not amplified.
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Scale:
    """``z = (x − mean) / deviation``, feature by feature; for whitened features ``z · map``.

    Attributes:
        mean_D: (D,) float64.
        deviation_D: (D,) float64, at least 0.001.
        map_DD: (D, D) float64; None for features that are standardised only.
    """

    mean_D: np.ndarray
    deviation_D: np.ndarray
    map_DD: np.ndarray | None = None

    def __call__(self, features_MD: np.ndarray) -> np.ndarray:
        """Standardise or whiten (…, D) features; float32."""
        return self.exact(features_MD).astype(np.float32)

    def exact(self, features_MD: np.ndarray) -> np.ndarray:
        """The same in float64, where a product may round differently for another number of rows."""
        z_MD = (features_MD - self.mean_D) / self.deviation_D
        return z_MD if self.map_DD is None else z_MD @ self.map_DD

    @property
    def rows_XD(self) -> np.ndarray:
        """One array for a file: mean, deviation and the rows of the map, if there is one."""
        parts = [self.mean_D, self.deviation_D]
        return np.vstack(parts if self.map_DD is None else [*parts, self.map_DD])

    @classmethod
    def of_rows(cls, rows_XD: np.ndarray) -> Scale:
        """The scale whose :attr:`rows_XD` these are.

        Raises:
            ValueError: they are those of no scale.
        """
        if rows_XD.ndim != 2 or len(rows_XD) not in (2, 2 + rows_XD.shape[1]):
            raise ValueError(f"a scale of shape {rows_XD.shape}")
        return cls(rows_XD[0], rows_XD[1], rows_XD[2:] if len(rows_XD) > 2 else None)


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def measure(features_MD: np.ndarray, rows: np.ndarray) -> Scale:
    """Mean and standard deviation of the features over some rows, in float64 and bounded memory.

    Args:
        features_MD: (M, D), possibly a memory map.
        rows: (m,) indices of the rows; other rows have no influence.
    """
    total_D = np.sum(
        [features_MD[chunk].astype(np.float64).sum(axis=0) for chunk in _chunks(rows)], axis=0
    )
    mean_D = total_D / len(rows)
    squares_D = np.sum(
        [((features_MD[chunk] - mean_D) ** 2).sum(axis=0) for chunk in _chunks(rows)], axis=0
    )
    return Scale(mean_D, np.maximum(np.sqrt(squares_D / len(rows)), _LEAST_DEVIATION))


def whitening(features_MD: np.ndarray, rows: np.ndarray) -> Scale:
    """Standardise, then whiten with shrinkage: ``y = z (C + I)^(−1/2)``, each y_d to deviation 1.

    C is the covariance of the standardised features z over the rows, whose eigenvalues have the
    mean 1. Before the last step a direction of variance λ has the variance λ/(λ + 1): directions
    far above the mean become equal, and those far below it, which may be noise, stay small. The map
    is symmetric until then, so that feature d stays the one most like z_d (ZCA). Gradient descent
    then fits weak directions as soon as strong ones, as the closed formula of a ridge regression
    does (docs/spikes.md).

    Args:
        features_MD: (M, D), possibly a memory map.
        rows: (m,) indices of the rows; other rows have no influence.

    Example:
        Two features that are equal but for a sign are one direction, of variance 2.

        >>> x_MD = np.array([[1.0, -2.0], [-1.0, 2.0]])
        >>> whitening(x_MD, np.arange(2))(x_MD).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    scale = measure(features_MD, rows)
    covariance_DD = np.zeros((features_MD.shape[1],) * 2)
    for chunk in _chunks(rows):
        z_MD = scale.exact(features_MD[chunk])
        covariance_DD += z_MD.T @ z_MD / len(rows)
    variance_K, vectors_DK = np.linalg.eigh(covariance_DD)
    kept_K = np.maximum(variance_K, 0)
    deviation_D = np.sqrt(np.square(vectors_DK) @ (kept_K / (kept_K + 1)))
    map_DD = (vectors_DK / np.sqrt(kept_K + 1)) @ vectors_DK.T
    return replace(scale, map_DD=map_DD / np.maximum(deviation_D, _LEAST_DEVIATION))
