"""What one training step, or one evaluation, takes in time and memory: in a process of its own.

Each is forked from one that has loaded all that is loaded once, and holds no data: so the peak of
one says nothing of another.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TypeVar

import torch

from benchmarks.processor_time import minima, timed
from benchmarks.stepping import Stop, parameters, train
from benchmarks.synthetic import Shape, random_clips
from benchmarks.training import configured
from mdft.config.train import ComputeConfig, TrainConfig
from mdft.gzsl import choose_beta
from mdft.systems.build import OURS, build
from mdft.training.evaluation import score_split

Result = TypeVar("Result")
#: Bytes for each number that is learned: itself, its gradient, and Adam's two means.
LEARNED = 16
#: Clips of the smallest training.
_TINY = Shape(clips=200, test=100, seconds=2, width=8)


@dataclass(frozen=True)
class Point:
    """What is measured.

    Attributes:
        shape: of the clips.
        batch: clips a step, or a forward pass.
        rounds: of which the least time is taken.
    """

    shape: Shape
    batch: int
    rounds: int = 4


@dataclass(frozen=True)
class Cost:
    """What it took.

    Attributes:
        seconds: of the processor, the least of some rounds.
        peak: bytes of memory at most, beyond what was there with the clips.
        learned: bytes of those for weights, gradients and Adam; 0 in an evaluation.
    """

    seconds: float
    peak: int
    learned: int


def isolated(work: Callable[[Point], Result], points: Sequence[Point]) -> list[Result]:
    """``work`` of every point, each in a fresh process.

    Args:
        work: a function of a module.
        points: its arguments.

    Raises:
        EOFError: a process has died of what it did, or of the lack of memory.
    """
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_each, work, points).result()


def _each(work: Callable[[Point], Result], points: Sequence[Point]) -> list[Result]:
    """As :func:`isolated`, of a process with one thread."""
    torch.set_num_threads(1)
    _warm_up()
    context, results = multiprocessing.get_context("fork"), []
    for point in points:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(sender, work, point))
        process.start()
        sender.close()
        results.append(receiver.recv())
        process.join()
    return results


def _send(sender: Connection, work: Callable[[Point], object], point: Point) -> None:
    _warm_up()  # again: of what is mapped from files a fork has nothing in memory
    sender.send(work(point))


def _warm_up() -> None:
    """Train a step of nearly nothing, so that everything is loaded."""

    def stop() -> None:
        raise Stop

    with suppress(Stop):
        train(_config(_TINY, 16), random_clips(_TINY), stop)


def training_step(point: Point) -> Cost:
    """A step of MDFT by the trainer, clips read ahead as on a processor by default."""
    config, clips = _config(point.shape, point.batch), random_clips(point.shape)
    before, seconds = _most_memory(), []
    start = 0.0

    def after_step() -> None:
        nonlocal start
        now = time.process_time()
        seconds.append(now - start)
        if len(seconds) > point.rounds + 1:  # the first two are with what is done once
            raise Stop
        start = time.process_time()

    with suppress(Stop):
        train(config, clips, after_step)
    return Cost(min(seconds[2:]), _most_memory() - before, LEARNED * parameters(config))


def evaluation(point: Point) -> Cost:
    """Distances of all test clips to their classes by a fresh model, and the choice of β."""
    config, clips = _config(point.shape, point.batch), random_clips(point.shape)
    model = build(config)
    before = _most_memory()

    def work() -> None:
        split = score_split(model, clips, "test_seen", "test_unseen", point.batch)
        choose_beta(split.distances, split.labels, split.seen)

    seconds = minima({"": timed(work)}, rounds=point.rounds)[""]
    return Cost(seconds, _most_memory() - before, 0)


def _config(shape: Shape, batch: int) -> TrainConfig:
    return replace(configured(OURS, shape, batch, "cpu"), compute=ComputeConfig())


def _most_memory() -> int:
    """The most bytes that this process has held; macOS counts bytes, others kilobytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
