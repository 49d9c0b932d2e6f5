"""The ablation of Table 2: an MLP in place of the spiking layers."""

from __future__ import annotations

from torch import Tensor, nn


class MotionMLP(nn.Module):
    """``layers`` blocks of Linear + ReLU, applied to each event bin separately, without state.

    Args:
        features: width of the input.
        neurons: width of every layer.
        layers: number of blocks.
    """

    def __init__(self, features: int, neurons: int, layers: int = 3) -> None:
        super().__init__()
        widths = [features] + [neurons] * (layers - 1)
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Linear(width, neurons), nn.ReLU()) for width in widths)
        )

    def forward(self, x_BSF: Tensor) -> Tensor:
        """(B,S,N), non-negative."""
        return self.blocks(x_BSF)
