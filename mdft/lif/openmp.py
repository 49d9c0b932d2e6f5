"""Compiled loops over samples, on the threads of torch's own OpenMP.

After each of its loops OpenMP keeps its threads busy with waiting for the next one, for some
milliseconds. Threads of our own would share the cores with them: two threads then took as long as
one. OpenMP's own begin at once.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

#: Fewest elements that are worth waking a second thread for.
GRAIN = 2**17

#: A forked child inherits neither OpenMP's threads nor a pool's, and would wait for them for ever.
_PROCESS = os.getpid()

Part = Callable[[int], object]
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@lru_cache(1)
def _openmp() -> ctypes.CDLL | None:
    """The runtime that torch is linked with, by GNU's names; None if it does not know them."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        library.GOMP_parallel.argtypes = (
            _CALLBACK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint
        )  # fmt: skip
        library.GOMP_parallel.restype = None
        return library if library.omp_get_thread_num and library.omp_get_num_threads else None
    except (OSError, AttributeError):  # macOS, Windows
        return None


@lru_cache(1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
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
    threads = max(1, min(torch.get_num_threads(), samples, elements // GRAIN))
    edges = [samples * i // threads for i in range(threads + 1)]

    def part(i: int) -> object:
        return kernel(*args, edges[i], edges[i + 1])

    if threads == 1:
        part(0)
    elif (library := _openmp()) and os.getpid() == _PROCESS:
        _on_openmp(library, part, threads)
    else:
        _on_pool(part, threads)


def _on_pool(part: Part, parts: int) -> None:
    pool = _pool(parts - 1, os.getpid())
    waiting = [pool.submit(part, i) for i in range(1, parts)]
    try:
        part(0)
    finally:  # nobody may write to the arrays after this
        wait(waiting)
    for future in waiting:
        future.result()


def _on_openmp(library: ctypes.CDLL, part: Part, parts: int) -> None:
    done: list[int] = []
    raised: list[BaseException] = []

    def work(_: Any) -> None:
        try:
            # It may give fewer threads than it was asked for.
            for i in range(library.omp_get_thread_num(), parts, library.omp_get_num_threads()):
                part(i)
                done.append(i)
        except BaseException as error:  # there is C between here and who can handle it
            raised.append(error)

    library.GOMP_parallel(_CALLBACK(work), None, parts, 0)
    if raised:
        raise raised[0]
    if len(done) < parts:
        # From Python 3.11 on a signal may be handled before the first line of `work`; what its
        # handler raises is shown by sys.unraisablehook and lost.
        raise KeyboardInterrupt
