"""Run a part in a process of its own, which is ended at its limit.

The processes are forked from one that has imported torch but never asked for a GPU: the import is
paid once, and CUDA starts anew in each. Where importing asks for a GPU, which CUDA does not survive
in a fork, each process imports everything itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.gpu.results import Result, Row, read
from mdft.errors import printable

ROOT = Path(__file__).resolve().parents[2]
#: A function at module level: it calls its argument with each row as soon as it is known.
Part = Callable[[Callable[[Row], None]], None]
#: The last one is what the first training step imports.
_PRELOADED = ["benchmarks.gpu.parts", "torch._dynamo"]
_UNUSABLE = 3
_LONGEST_IMPORT = 120.0
_LONGEST = 300


def run(part: str, work: Part, limit: float, folder: Path) -> Result:
    """Run a part; its result is in ``PART.json``, what it printed in ``PART.log``.

    Args:
        part: its name.
        work: what it does; its exceptions become the reason of a failure.
        limit: seconds, after which it is killed with every process that it started.
        folder: the existing folder of the results.
    """
    result = Result(part, limit)
    result.write(folder)
    context: Any = multiprocessing.get_context(start_method())
    start = time.perf_counter()
    process = context.Process(target=_child, args=(result, work, folder.resolve()))
    process.start()
    try:
        process.join(limit)
        late = process.is_alive()
    finally:
        _end(process)
    code, result = process.exitcode, read(folder, part)
    result.seconds = time.perf_counter() - start
    if late:
        result.state, result.reason = "timeout", f"ended at its limit of {limit:g} s"
    elif result.state == "running":
        result.state = "failed"
        result.reason = f"its process died (exit status {code}); see {part}.log"
    elif result.state == "done" and result.missing:
        result.state = "incomplete"
    result.write(folder)
    return result


@lru_cache(1)
def start_method() -> str:
    """``forkserver``, or ``spawn`` if CUDA could not be used in its processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_probe)
    process.start()
    process.join(_LONGEST_IMPORT)
    code = process.exitcode
    process.kill()
    process.join()
    return "forkserver" if code == 0 else "spawn"


def _probe() -> None:
    import torch

    # CUDA's runtime was asked for something before the fork: it would refuse to start.
    raise SystemExit(_UNUSABLE if torch.cuda._is_in_bad_fork() else 0)


def _end(process: BaseProcess) -> None:
    """Kill the process, if it runs, and what is left of its group."""
    if process.pid is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended, or has no group yet
            process.kill()
    process.join()


def _child(result: Result, work: Part, folder: Path) -> None:
    os.setsid()
    os.chdir(ROOT)
    with (folder / f"{result.part}.log").open("w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log

        def record(row: Row) -> None:
            result.rows.append(row)
            result.write(folder)

        try:
            work(record)
            result.state = "done"
        except BaseException as error:  # also what a library raises to leave
            traceback.print_exc()
            result.state, result.reason = "failed", reason_of(error)
        result.write(folder)


def reason_of(error: BaseException) -> str:
    """The kind and the message of an error in one line."""
    return printable(f"{type(error).__name__}: {error}")[:_LONGEST].removesuffix(": ")
