"""What a process holds on to, for the tests of long runs."""

from __future__ import annotations

import gc
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


def must_be_flat(before: Usage, after: Usage, growth: int) -> None:
    """At most so many bytes more; no handle, thread or process more."""
    assert after.rss - before.rss < growth, f"{(after.rss - before.rss) / 1e6:.1f} MB more"
    assert after.handles <= before.handles, (before.handles, after.handles)
    assert after.threads <= before.threads, (before.threads, after.threads)
    assert not after.children - before.children
