"""E_v as the two grids of cells that it is: joined for narrower models, and as a picture."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn import functional as F

#: Of events: OFF, then ON.
POLARITIES = 2


def coarser(channels: int, dim: int) -> int | None:
    """Cells a side that one cell of ``dim`` channels takes of a grid of ``channels``.

    Args:
        channels: of E_v, two square grids.
        dim: width of the model.

    Returns:
        1 where both are alike; None where ``dim`` is no grid that cells can be joined to.
    """
    fine, coarse = (math.isqrt(width // POLARITIES) for width in (channels, dim))
    square = channels == POLARITIES * fine**2 and dim == POLARITIES * coarse**2
    if channels == dim:
        return 1
    return fine // coarse if square and coarse and fine % coarse == 0 else None


def pool_cells(E_v_BTKD: Tensor, dim: int) -> Tensor:
    """Events a pixel of joined cells: the mean of ``n × n`` neighbours, (B,T,K,dim).

    Args:
        E_v_BTKD: event bins, channel ``p·g² + y·g + x`` of ``g × g`` cells.
        dim: 2 (g/n)², as :func:`coarser` allows it.
    """
    n = coarser(E_v_BTKD.shape[-1], dim)
    assert n is not None, "checked with the data"
    if n == 1:
        return E_v_BTKD
    side = n * math.isqrt(dim // POLARITIES)
    grids = E_v_BTKD.flatten(0, 2).unflatten(-1, (POLARITIES, side, side))
    return F.avg_pool2d(grids, n).flatten(1).unflatten(0, E_v_BTKD.shape[:3])


def event_images(bins_XD: np.ndarray) -> np.ndarray:
    """Event bins as pictures: ON red, OFF blue, silence white, the most events full colour.

    Args:
        bins_XD: (X, 2·g²), in any unit.

    Returns:
        (X, g, g, 3) in [0, 1].
    """
    side = math.isqrt(bins_XD.shape[-1] // POLARITIES)
    off, on = bins_XD.reshape(-1, POLARITIES, side, side).swapaxes(0, 1).astype(float)
    top = max(float(bins_XD.max()), 1e-9)
    # ON takes blue and green away, OFF red and green.
    image = 1 - np.stack([off, np.maximum(off, on), on], axis=-1) / top
    return np.sqrt(image.clip(0, 1))
