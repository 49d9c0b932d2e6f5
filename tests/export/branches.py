"""Random motion branches that fire, with inputs on the grid."""

from __future__ import annotations

import torch
from torch import Tensor

from mdft.model.motion import MotionBranch


def firing_branch(
    seed: int, features: int = 40, neurons: int = 48, layers: int = 3, beta: float = 0.5
) -> MotionBranch:
    """Random weights and biases; layers after the first are driven by a positive bias.

    PyTorch's normal numbers differ in the last bit with the vector width. Rounded to the grid they
    are the same weights but where one lies between two steps: tests that name a rate leave room.
    """
    torch.manual_seed(seed)
    branch = MotionBranch(features, neurons, layers, beta=beta).eval()
    with torch.no_grad():
        for linear in branch.linears:
            linear.weight.mul_(0.7)  # type: ignore[operator, union-attr]
            linear.bias.normal_(0.2, 0.15)  # type: ignore[operator, union-attr]
    return branch


def random_drive(
    branch: MotionBranch, seed: int, batch: int = 3, steps: int = 12
) -> tuple[Tensor, Tensor]:
    """Graded events, a fifth of them active, and the current of a moving threshold."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, steps, branch.features)
    active = torch.rand(shape, generator=generator) < 0.2
    x_BSF = active * torch.randint(1, 40, shape, generator=generator) / 16
    theta_BS1 = 1 + 0.2 * torch.randn(batch, steps, 1, generator=generator)
    return x_BSF, branch.threshold_current(theta_BS1).detach()
