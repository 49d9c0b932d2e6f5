"""The sizes of all parts: those of the figures, and tiny ones for a dry run on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.synthetic import Shape


@dataclass(frozen=True)
class Sizes:
    """What the parts measure.

    Attributes:
        device: cuda or cpu.
        dry: whether this is a dry run, whose figures mean nothing.
        copied: the number of float32 values of the copy.
        product: the number of rows of the square matrices of the product.
        width: the number N of inputs and neurons of the motion branch.
        steps: the number T of simulation steps of the motion branch.
        batches: the numbers B of samples, of the motion branch and of a training step.
        rounds: the number of counted rounds.
        shape: the shape of the clips to train on.
    """

    device: str = "cuda"
    dry: bool = False
    copied: int = 2**28
    product: int = 8192
    width: int = 512
    steps: int = 60
    batches: tuple[int, ...] = (256, 2048)
    rounds: int = 15
    shape: Shape = field(default_factory=Shape)


DRY = Sizes(
    device="cpu",
    dry=True,
    copied=2**10,
    product=16,
    width=32,
    steps=3,
    batches=(64, 128),
    rounds=2,
    shape=Shape(clips=200, test=100, seconds=2, width=8),
)
