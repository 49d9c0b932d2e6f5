"""The discrepancy analysis block (DAB), eq. (6): audio events from visual events."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdft.lif.precision import at_least_float32

BETA_MIN = 1e-3


def discrepancy(a: Tensor, events: Tensor, beta: Tensor) -> Tensor:
    """Equation (6), elementwise: ``E_a = a + 1 − exp(−((E_v − a)/β)²)``.

    The paper prints a scalar norm, which saturates at D = 512 (``1 − exp(−361) = 1``, no
    gradient), but its text calls E_a a matrix; here the equation is elementwise.

    Args:
        a: audio features, (..., D).
        events: visual events E_v, the mean over the bins of each second, (..., D).
        beta: positive scale, broadcast against ``a`` and ``events``.

    Returns:
        E_a, the shape of ``a``.
    """
    return a + 1 - torch.exp(-(((events - a) / beta) ** 2))


class DiscrepancyAnalysis(nn.Module):
    """The DAB, eq. (6): :func:`discrepancy` with a learned ``β = softplus(raw) + ε``.

    ``E_a = a + 1 − exp(−((E_v − a)/β)²)``. Initially softplus(raw) is 1. Computed in float32 or
    better, also under autocast, because the result is rounded to the grid of the spiking branch.

    >>> import torch
    >>> block = DiscrepancyAnalysis()
    >>> sound, events = torch.zeros(1, 3, 8), torch.ones(1, 3, 8)
    >>> block(sound, events).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(1.0).expm1().log())

    @property
    def beta(self) -> Tensor:
        """The learned scale β_a, positive."""
        return F.softplus(self.raw) + BETA_MIN

    def extra_repr(self) -> str:
        """The learned scale, to four digits."""
        return "" if self.raw.is_meta else f"beta={self.beta.item():.4g}"

    def forward(self, a_BTD: Tensor, events_BTD: Tensor) -> Tensor:
        """``E_a`` (B,T,D) of audio features and mean visual events, both (B,T,D).

        Raises:
            ValueError: their shapes differ.
        """
        if a_BTD.shape != events_BTD.shape:
            raise ValueError(
                f"DiscrepancyAnalysis: audio has shape {tuple(a_BTD.shape)}, events "
                f"{tuple(events_BTD.shape)}, expected the same (batch, seconds, features)"
            )
        return discrepancy(at_least_float32(a_BTD), at_least_float32(events_BTD), self.beta)
