"""The two grids of cells in E_v: average pooling for narrower models, and images."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn import functional as F

#: Polarities of events: OFF, then ON.
POLARITIES = 2


def coarser(channels: int, dim: int) -> int | None:
    """Pooling factor, per side, from a grid of ``channels`` to one of ``dim`` channels.

    Args:
        channels: channels of E_v, two square grids.
        dim: width of the model.

    Returns:
        1 if both are equal; None if the grid cannot be pooled to ``dim`` channels.
    """
    fine, coarse = (math.isqrt(width // POLARITIES) for width in (channels, dim))
    square = channels == POLARITIES * fine**2 and dim == POLARITIES * coarse**2
    if channels == dim:
        return 1
    return fine // coarse if square and coarse and fine % coarse == 0 else None


def pool_cells(E_v_BTKD: Tensor, dim: int) -> Tensor:
    """Average pooling of event cells over ``n × n`` neighbours, (B,T,K,dim) in events per pixel.

    Args:
        E_v_BTKD: event bins, channel ``p·g² + y·g + x`` of ``g × g`` cells.
        dim: 2 (g/n)², for which :func:`coarser` returns n.
    """
    n = coarser(E_v_BTKD.shape[-1], dim)
    assert n is not None, "checked with the data"
    if n == 1:
        return E_v_BTKD
    side = n * math.isqrt(dim // POLARITIES)
    grids = E_v_BTKD.flatten(0, 2).unflatten(-1, (POLARITIES, side, side))
    return F.avg_pool2d(grids, n).flatten(1).unflatten(0, E_v_BTKD.shape[:3])


def event_images(bins_XD: np.ndarray) -> np.ndarray:
    """Event bins as RGB images: ON red, OFF blue, no events white, the maximum in full colour.

    Args:
        bins_XD: (X, 2·g²) event bins in any unit.

    Returns:
        (X, g, g, 3) in [0, 1].
    """
    side = math.isqrt(bins_XD.shape[-1] // POLARITIES)
    off, on = bins_XD.reshape(-1, POLARITIES, side, side).swapaxes(0, 1).astype(float)
    top = max(float(bins_XD.max()), 1e-9)
    # ON removes blue and green, OFF removes red and green.
    image = 1 - np.stack([off, np.maximum(off, on), on], axis=-1) / top
    return np.sqrt(image.clip(0, 1))
