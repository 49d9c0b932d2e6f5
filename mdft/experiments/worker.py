"""Run one job of a sweep in its own process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from mdft.config.train import TrainConfig
from mdft.data.sources import load_clips
from mdft.distributed import reproducible
from mdft.runs.folder import STATE
from mdft.training.board import Board
from mdft.training.trainer import Trainer

LOG = "log.txt"
#: Modules that the fork server imports once for all runs; creating Adam imports the second.
_PRELOAD = ["mdft.experiments.worker", "torch._dynamo"]


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        row: name of the configuration.
        config: the configuration with the run's seed.
        folder: the run's folder.
    """

    row: str
    config: TrainConfig
    folder: Path

    def __str__(self) -> str:
        return f"{self.row} seed {self.config.seed}"


def start(job: Job, threads: int) -> tuple[Connection, BaseProcess]:
    """Start a run.

    Args:
        job: the job.
        threads: number of torch threads.

    Returns:
        The reading end of a pipe, and the process. The pipe delivers the trainer's records, and
        ``{"error": line}`` if the run fails. The process ends when the reading end is closed.
    """
    # fork hangs after torch has started threads; spawn would import torch for every run.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, threads, writer), name=str(job))
    with _ignoring_ctrl_c():  # the child inherits this: only the parent decides when to stop
        process.start()
    writer.close()
    return reader, process


@contextmanager
def _ignoring_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def work(job: Job, threads: int, channel: Connection) -> None:
    """Train and test; redirect all output to ``log.txt`` in the run's folder.

    Args:
        job: the job.
        threads: number of torch threads.
        channel: pipe that the records are sent to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # unwind, so that no partial file is left
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        _redirect_output(job.folder / LOG)
        torch.set_num_threads(threads)
        train(job, channel.send)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        channel.send({"error": one_line(error)})
        sys.exit(1)


def one_line(error: Exception) -> str:
    """The type and the message of an error, for one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def train(job: Job, send: Callable[[dict[str, Any]], None]) -> None:
    """Train and test in this process; an interrupted run is resumed.

    Args:
        job: the job, whose folder exists.
        send: called with each of the trainer's records.
    """
    if job.config.compute.reproducible:
        reproducible.begin()
    clips = load_clips(job.config.data)
    with Board(job.folder) as board:

        def report(record: dict[str, Any]) -> None:
            send(record)
            board(record)

        Trainer(job.config, clips, job.folder, report).run(resume=True)
    # A finished run does not need the trainer's state, three times the size of the model.
    (job.folder / STATE).unlink(missing_ok=True)


def _redirect_output(path: Path) -> None:
    """Append stdout and stderr, including those of C libraries, to a file."""
    with path.open("a") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
