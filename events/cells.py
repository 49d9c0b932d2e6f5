"""The cells of the coarse grid that events are pooled on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cell_areas(width: int, height: int, grid: int) -> NDArray[np.int64]:
    """Count the pixels per cell, (grid·grid,) int64; 0 where the grid is finer than the sensor."""
    columns = np.bincount(np.arange(width) * grid // width, minlength=grid)
    rows = np.bincount(np.arange(height) * grid // height, minlength=grid)
    return np.outer(rows, columns).reshape(-1)


def cell_map(width: int, height: int, grid: int) -> NDArray[np.int32]:
    """Return each pixel's cell gy·grid + gx, (height·width,) int32 in raster order."""
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    return (rows[:, None] * grid + columns).reshape(-1).astype(np.int32)
