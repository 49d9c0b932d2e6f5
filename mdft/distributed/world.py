"""Several processes that train one model: who I am among them, and what we exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mdft.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: which one this is, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to the person."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """The share of this process of ``total`` rows: contiguous, in the order of ranks.

        Shares differ by one row at most.

        Raises:
            UserError: there are fewer rows than processes.
        """
        if total < self.size:
            raise UserError(
                f"a batch of {total} clips is shared by {self.size} processes, expected at least "
                "one clip each: raise --batch-size or start fewer processes"
            )
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)


def world() -> World:
    """The processes that :func:`mdft.distributed.launch.joined` has joined.

    Without it one, the first.
    """
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _Sum.forward(ctx, grads[0])


def total(x: Tensor) -> Tensor:
    """``Σ_r x_r`` over the processes, the same bits in all of them, with its gradient.

    The gradient of this sum is a sum too, so that a backward pass in all processes differentiates
    ``Σ_r L_r``: ``R · L`` where all R compute the same loss L, which the mean over processes that
    DistributedDataParallel takes makes L again, whatever was exchanged on the way.
    """
    return x if world().size == 1 else _Sum.apply(x)


def gather(x_BX: Tensor, rows: int) -> Tensor:
    """The rows of all processes, in the order of ranks, with their gradient.

    Args:
        x_BX: of this process, its :meth:`World.rows`.
        rows: how many there are in all.
    """
    here = world()
    if here.size == 1:
        return x_BX
    # Zeros plus the one share that is not zero: exact, and shares need not be equally long.
    mine = here.rows(rows)
    before, after = x_BX.new_zeros(mine.start, *x_BX.shape[1:]), rows - mine.stop
    return total(torch.cat([before, x_BX, x_BX.new_zeros(after, *x_BX.shape[1:])]))


def joint_mean(values: Sequence[Tensor], weight: Tensor) -> Sequence[Tensor]:
    """``Σ_r w_r v_r / Σ_r w_r`` of each value over the processes, with its gradient.

    Args:
        values: scalars.
        weight: w of this process, a scalar.
    """
    if world().size == 1 or not values:
        return values
    weight = weight.to(values[0])
    *sums, weights = total(torch.stack([*values, torch.ones_like(weight)]) * weight)
    return [summed / weights for summed in sums]


def lengths(own: int) -> list[int]:
    """A number of each process, by rank."""
    here = world()
    own_R = torch.zeros(here.size, dtype=torch.int64)
    own_R[here.rank] = own
    dist.all_reduce(own_R)
    return own_R.tolist()


def of_all(value: T) -> list[T]:
    """An object of each process, by rank; tensors in it must be on the CPU."""
    here = world()
    found = [value] * here.size
    if here.size > 1:
        dist.all_gather_object(found, value)
    return found


def from_first(load: Callable[[], T]) -> T:
    """What the first process loads; the others are sent it."""
    here = world()
    if here.size == 1:
        return load()
    found: list[Any] = [load() if here.first else None]
    dist.broadcast_object_list(found)
    return found[0]


def after_first(load: Callable[[], T]) -> T:
    """What each process loads; the first one before the others, which find its cache."""
    here = world()
    if not here.first:
        lengths(0)  # waits for the first one's, as at a barrier
    value = load()
    if here.first and here.size > 1:
        lengths(0)
    return value
