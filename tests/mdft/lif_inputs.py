"""What the tests of the LIF share: inputs, a smooth spike and a loss, on the default device."""

import os
from dataclasses import dataclass

import torch
from hypothesis import Phase, settings
from torch import Tensor

from mdft.lif.neuron import LIFParams

PARAMS, ALPHA = LIFParams(0.5, 1.0), 2.0


def examples(count: int) -> settings:
    """Settings of a hypothesis test.

    Triton's interpreter takes a hundred times as long: a quarter of the examples, none shrunk.
    """
    if os.environ.get("TRITON_INTERPRET") != "1":
        return settings(max_examples=count, deadline=None)
    return settings(max_examples=count // 4, deadline=None, phases=[Phase.generate])


@dataclass(frozen=True)
class SmoothSpike:
    """½ + arctan(π α x / 2)/π: smooth, and its derivative is the arctangent surrogate."""

    alpha: float = ALPHA

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 + torch.atan(torch.pi / 2 * self.alpha * x) / torch.pi


def inputs(
    shape: tuple[int, int, int], *, per_neuron: bool = False, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    B, S, N = shape
    current = torch.randn(B, S, N, dtype=dtype) * 0.7 + 0.5
    b = torch.randn(B, S, N if per_neuron else 1, dtype=dtype) * 0.2
    bias = torch.randn(N, dtype=dtype) * 0.1
    return tuple(x.requires_grad_() for x in (current, b, bias))  # type: ignore[return-value]


def weighted_sum(spikes: Tensor, seed: int = 3) -> Tensor:
    generator = torch.Generator(spikes.device).manual_seed(seed)
    return (spikes * torch.randn(spikes.shape, generator=generator).to(spikes.dtype)).sum()
