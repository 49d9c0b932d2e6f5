"""A training run in a process of its own that is killed on its way."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from mdft.errors import UserError
from mdft.training.trainer import Trainer
from tests.mdft.small import random_clips, small_config

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.mdft.killed", "torch._dynamo"])


def start(folder: Path, **how) -> BaseProcess:
    """A process that runs :func:`train`; its exit code is −9 if it was killed."""
    process = _CONTEXT.Process(target=train, args=(folder,), kwargs=how)
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL a process that was started."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)


def train(
    folder: Path, *, die_at: int | None = None, room: int | None = None, linger: bool = False
) -> None:
    """Train, resuming.

    Args:
        folder: of the run.
        die_at: SIGKILL itself before this call, from 0, of os.fsync or os.replace.
        room: bytes that a file may have, as on a full disk; exit code 2 for a one-line error.
        linger: wait a minute within the first epoch, with the run's lock held.
    """
    calls = 0

    def dying(work):
        def call(*arguments):
            nonlocal calls
            if calls == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            return work(*arguments)

        return call

    if die_at is not None:
        os.fsync, os.replace = dying(os.fsync), dying(os.replace)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    def report(record: dict) -> None:
        if linger and "step" in record:
            (folder / "started").touch()
            time.sleep(60)

    try:
        Trainer(small_config(), random_clips(), folder, report).run(resume=True)
    except (UserError, OSError) as error:
        (folder / "error").write_text(str(error))
        raise SystemExit(2) from error
