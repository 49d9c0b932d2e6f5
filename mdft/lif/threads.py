"""Compiled loops over samples, on a pool of as many threads as torch uses.

A plain pool and not torch's own OpenMP: the loops are 1.4 % of the processor time of a training
step of the recipe ``ucf`` and none of ``embedded`` is long enough for a second thread, so that
OpenMP's quicker start gains at most 1.2 % of a step on two threads (docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import torch

#: Fewest elements that are worth waking a second thread for.
GRAIN = 2**17


@lru_cache(1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The pool of a process: a forked child does not inherit its parent's threads."""
    return ThreadPoolExecutor(threads, "mdft")


def over_samples(kernel: Callable[..., object], samples: int, elements: int, *args: Any) -> None:
    """Call ``kernel(*args, first, last)`` over all samples, on as many threads as torch uses.

    Args:
        kernel: releases the GIL while it works.
        samples: what is shared out, evenly.
        elements: how much work it is; a thread has `GRAIN` of them at least.
        *args: of the kernel.

    Raises:
        BaseException: what the kernel raises, or a signal's handler meanwhile.
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
    finally:  # nobody may write to the arrays after this
        wait(waiting)
    for future in waiting:
        future.result()
