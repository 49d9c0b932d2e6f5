"""What a process holds on to, for the tests of long runs."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """At one moment.

    Attributes:
        rss: bytes of memory in RAM.
        handles: open files, pipes and sockets.
        threads: of this process.
        children: ids of its processes, theirs too.
    """

    rss: int
    handles: int
    threads: int
    children: frozenset[int]


def usage() -> Usage:
    """Of this process, after what nobody refers to is gone."""
    gc.collect()
    me = psutil.Process()
    return Usage(
        me.memory_info().rss,
        me.num_fds(),
        me.num_threads(),
        frozenset(child.pid for child in me.children(recursive=True)),
    )


def must_be_flat(looks: Sequence[Usage], growth: int) -> None:
    """No handle, thread or process more at the end; and memory that does not grow every time.

    A leak grows in every round of the same work. When an allocator asks for one more arena, and
    how large it is, differs from machine to machine, but it does not do so in every round.

    Args:
        looks: before the first round, between the rounds and after the last one.
        growth: bytes, less than a leak would add in one round. One round must add fewer.
    """
    first, last = looks[0], looks[-1]
    assert last.handles <= first.handles, (first.handles, last.handles)
    assert last.threads <= first.threads, (first.threads, last.threads)
    assert not last.children - first.children
    grown = [after.rss - before.rss for before, after in itertools.pairwise(looks)]
    assert min(grown) < growth, f"every round grew: {', '.join(f'{g / 1e6:.1f}' for g in grown)} MB"
