"""Work that pauses between its steps, so that several works can alternate; for the trainer too."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import torch

from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.systems.build import build
from mdft.training.protocol import Progress
from mdft.training.trainer import Trainer


class Stop(BaseException):
    """Ends a work between two steps; it is not an Exception, so that no handler catches it."""


class Stepping:
    """A work in its own thread that runs from one pause to the next.

    It never runs at the same time as the caller: the time of a step is that of the process.

    Args:
        work: a function that calls its argument between two steps.
    """

    def __init__(self, work: Callable[[Callable[[], None]], object]) -> None:
        self._go, self._done = Semaphore(0), Semaphore(0)
        self._stop, self.ended = False, False
        self._error: BaseException | None = None
        self._context: AbstractContextManager[object] = nullcontext()
        self._threads = torch.get_num_threads()
        self._thread = Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def step(self, context: AbstractContextManager[object] | None = None) -> None:
        """Run to the next pause, or to the end.

        Args:
            context: a context that the work's thread enters while it runs.

        Raises:
            BaseException: the exception that the work raised.
        """
        assert not self.ended, "the work has ended; it needs more steps"
        self._context = context or nullcontext()
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the work at its pause."""
        self._stop = True
        self._go.release()
        self._thread.join()

    def _run(self, work: Callable[[Callable[[], None]], object]) -> None:
        torch.set_num_threads(self._threads)  # this setting is per thread
        self._go.acquire()
        try:
            if not self._stop:
                self._context.__enter__()
                work(self._pause)
                self._context.__exit__(None, None, None)
        except Stop:
            pass
        except BaseException as error:
            self._error = error
        self.ended = True
        self._done.release()

    def _pause(self) -> None:
        self._context.__exit__(None, None, None)
        self._done.release()
        self._go.acquire()
        if self._stop:
            raise Stop
        self._context.__enter__()


def train(config: TrainConfig, clips: ClipSet, after_step: Callable[[], None]) -> None:
    """Train stage 2 by :class:`mdft.training.trainer.Trainer` in a temporary folder.

    Args:
        config: the configuration; its epochs are trained without validation.
        clips: the data set.
        after_step: a function that is called after every step; it may raise :class:`Stop`.
    """

    def report(record: dict[str, Any]) -> None:
        if "step" in record:
            after_step()

    begin = Progress(stage=1, best_epoch=config.epochs - 1)
    with tempfile.TemporaryDirectory(prefix="mdft-benchmark-") as folder:
        Trainer(config, clips, Path(folder), report).run(start=begin)


def training(config: TrainConfig, clips: ClipSet) -> Stepping:
    """Return the trainer's steps, one at a time; the first one includes the initialisation."""
    return Stepping(lambda pause: train(config, clips, pause))


def parameters(config: TrainConfig) -> int:
    """Return the number of trained parameters of a system."""
    return sum(p.numel() for p in build(config).parameters())
