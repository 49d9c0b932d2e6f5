"""``python -m benchmarks.motion_branch``: a training step of the motion branch over its floor.

The floor is its matrix products alone, forward and backward; the baseline of the same run.
"""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.timing import medians, show
from mdft.calibrate import calibrate
from mdft.motion import MotionBranch

WIDTH, LAYERS = 512, 3


def measure(batch: int, steps: int) -> dict[str, float]:
    """Median seconds of forward and backward.

    Args:
        batch: samples.
        steps: simulation steps of each.
    """
    torch.manual_seed(0)
    x_BSF = (torch.rand(batch, steps, WIDTH) < 0.1).float()
    current_BS1 = torch.zeros(batch, steps, 1)
    branch = MotionBranch(WIDTH, WIDTH, LAYERS)
    calibrate(branch, x_BSF, current_BS1, rate=0.1)
    products = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))

    def spiking() -> None:
        branch(x_BSF, current_BS1).sum().backward()

    def floor() -> None:
        products(x_BSF).sum().backward()

    return medians({"motion branch": spiking, "matrix products": floor})


def main() -> None:
    """Print the table."""
    settings = [(64, 10), (64, 24), (64, 60)]
    rows = {f"B {b}, S {s}": measure(b, s) for b, s in settings}
    title = f"{LAYERS} × (Linear + LIF), {WIDTH} wide, {torch.get_num_threads()} threads"
    show(title, rows, "matrix products")


if __name__ == "__main__":
    main()
