"""Record and count the matrix products of some work, and repeat only them as a lower bound."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
#: Operation → the indices of the arguments that are multiplied. The T × T products of attention are
#: not included if one kernel computes all of it.
_FACTORS = {aten.mm: (0, 1), aten.addmm: (1, 2), aten.bmm: (0, 1), aten.baddbmm: (1, 2)}


class Layout(NamedTuple):
    """The properties of a tensor that the time of its product depends on."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: str

    def filled(self) -> Tensor:
        """Return a tensor of this layout, filled with ones."""
        empty = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)
        return empty.fill_(1)


Product = tuple[Layout, Layout]


class Products(TorchDispatchMode):
    """A context that counts all matrix products, forward and backward.

    Attributes:
        counts: the layouts of the two factors → the number of their products.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run ``func`` unchanged."""
        if factors := _FACTORS.get(func.overloadpacket):
            first, second = (_layout(args[i]) for i in factors)
            self.counts[first, second] += 1
        return func(*args, **(kwargs or {}))


def _layout(x: Tensor) -> Layout:
    return Layout(tuple(x.shape), x.stride(), x.dtype, str(x.device))


def multiplications(counts: Mapping[Product, int]) -> int:
    """Return the number of multiplications: ``Σ (B) n m k`` of (B,) n × m times m × k."""
    return sum(n * math.prod(a.shape) * b.shape[-1] for (a, b), n in counts.items())


def again(counts: Mapping[Product, int]) -> Callable[[], None]:
    """Return a function that computes the same products, and nothing else.

    Args:
        counts: the counts of :class:`Products`.
    """
    factors = [(a.filled(), b.filled(), number) for (a, b), number in counts.items()]

    @torch.no_grad()
    def work() -> None:
        for a, b, number in factors:
            for _ in range(number):
                torch.matmul(a, b)

    return work
