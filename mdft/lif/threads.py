"""Compiled loops over samples, on a pool of as many threads as torch uses.

A thread pool is used instead of torch's OpenMP: the loops take 1.4 % of the processor time of a
training step of the recipe ``ucf``, and those of ``embedded`` are too short for a second thread, so
OpenMP's faster start would gain at most 1.2 % of a step on two threads (docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import torch

#: Smallest number of elements per thread that makes another thread worthwhile.
GRAIN = 2**17


@lru_cache(1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The pool of a process; `process` is a key because a forked child has no threads."""
    return ThreadPoolExecutor(threads, "mdft")


def over_samples(kernel: Callable[..., object], samples: int, elements: int, *args: Any) -> None:
    """Call ``kernel(*args, first, last)`` over all samples, on as many threads as torch uses.

    Args:
        kernel: compiled function that releases the GIL.
        samples: number of samples, distributed evenly over the threads.
        elements: number of elements, the amount of work; a thread has at least `GRAIN` of them.
        *args: arguments of the kernel.

    Raises:
        BaseException: the kernel or a signal handler raised it.
    """
    parts = max(1, min(torch.get_num_threads(), samples, elements // GRAIN))
    edges = [samples * i // parts for i in range(parts + 1)]
    if parts == 1:
        kernel(*args, 0, samples)
        return
    pool = _pool(torch.get_num_threads(), os.getpid())
    waiting = [pool.submit(kernel, *args, *edges[i : i + 2]) for i in range(1, parts)]
    try:
        kernel(*args, *edges[:2])
    finally:  # no thread may write to the arrays after the return
        wait(waiting)
    for future in waiting:
        future.result()
