"""Training with several processes: ranks, and the exchange of tensors and objects."""

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
        rank: rank of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints messages."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """Share of this process in ``total`` rows: contiguous, in the order of ranks.

        The lengths of the shares differ by one at most.

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
    """The process group of :func:`mdft.distributed.launch.joined`; without it a single process."""
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
    """``Σ_r x_r`` over the processes, bit-identical in all of them, with gradient.

    The gradient is also summed over the processes, so that their backward passes differentiate
    ``Σ_r L_r``. If all R processes compute the same loss L this is ``R · L``, and the mean over
    processes in DistributedDataParallel makes it L again.
    """
    return x if world().size == 1 else _Sum.apply(x)


def gather(x_BX: Tensor, rows: int) -> Tensor:
    """Concatenate the rows of all processes in the order of ranks, with gradient.

    Args:
        x_BX: the rows of this process, as in :meth:`World.rows`.
        rows: total number of rows.
    """
    here = world()
    if here.size == 1:
        return x_BX
    # A sum in which all but one term are zero: exact, and shares may differ in length.
    mine = here.rows(rows)
    before, after = x_BX.new_zeros(mine.start, *x_BX.shape[1:]), rows - mine.stop
    return total(torch.cat([before, x_BX, x_BX.new_zeros(after, *x_BX.shape[1:])]))


def joint_mean(values: Sequence[Tensor], weight: Tensor) -> Sequence[Tensor]:
    """``Σ_r w_r v_r / Σ_r w_r`` of each value over the processes, with gradient.

    Args:
        values: scalars v of this process.
        weight: scalar weight w of this process.
    """
    if world().size == 1 or not values:
        return values
    weight = weight.to(values[0])
    *sums, weights = total(torch.stack([*values, torch.ones_like(weight)]) * weight)
    return [summed / weights for summed in sums]


def lengths(own: int) -> list[int]:
    """Gather one integer per process, in the order of ranks."""
    here = world()
    own_R = torch.zeros(here.size, dtype=torch.int64)
    own_R[here.rank] = own
    dist.all_reduce(own_R)
    return own_R.tolist()


def of_all(value: T) -> list[T]:
    """Gather one object per process, in the order of ranks; its tensors must be on the CPU."""
    here = world()
    found = [value] * here.size
    if here.size > 1:
        dist.all_gather_object(found, value)
    return found


def from_first(load: Callable[[], T]) -> T:
    """Call ``load`` in the first process only and broadcast its result."""
    here = world()
    if here.size == 1:
        return load()
    found: list[Any] = [load() if here.first else None]
    dist.broadcast_object_list(found)
    return found[0]


def after_first(load: Callable[[], T]) -> T:
    """Call ``load`` in each process, first in the first one, whose cache the others then use."""
    here = world()
    if not here.first:
        lengths(0)  # a barrier: wait until the first process has loaded
    value = load()
    if here.first and here.size > 1:
        lengths(0)
    return value
