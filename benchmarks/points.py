"""Time and memory of one training step or one evaluation, each in a separate process.

Each process is forked from one that has loaded all libraries but no data, so that the peaks of
memory are independent of each other.
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
#: Bytes per trained parameter: value, gradient, and Adam's two moments.
LEARNED = 16
#: Number of clips of the smallest training.
_TINY = Shape(clips=200, test=100, seconds=2, width=8)


@dataclass(frozen=True)
class Point:
    """The settings of one measurement.

    Attributes:
        shape: the shape of the clips.
        batch: the number of clips per step or forward pass.
        rounds: the number of rounds; the least time counts.
    """

    shape: Shape
    batch: int
    rounds: int = 4


@dataclass(frozen=True)
class Cost:
    """The result of one measurement.

    Attributes:
        seconds: the least processor time of all rounds.
        peak: the peak of memory in bytes, minus the memory with the clips loaded.
        learned: the bytes of weights, gradients and Adam in it; 0 in an evaluation.
    """

    seconds: float
    peak: int
    learned: int


def isolated(work: Callable[[Point], Result], points: Sequence[Point]) -> list[Result]:
    """Return ``work`` of every point, each computed in a new process.

    Args:
        work: a function at module level.
        points: its arguments.

    Raises:
        EOFError: a process died, by an error or for lack of memory.
    """
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_each, work, points).result()


def _each(work: Callable[[Point], Result], points: Sequence[Point]) -> list[Result]:
    """Run :func:`isolated` from a process with one thread."""
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
    _warm_up()  # again: pages mapped from files are not in a fork's memory
    sender.send(work(point))


def _warm_up() -> None:
    """Train a tiny step, so that all libraries are loaded."""

    def stop() -> None:
        raise Stop

    with suppress(Stop):
        train(_config(_TINY, 16), random_clips(_TINY), stop)


def training_step(point: Point) -> Cost:
    """Measure a step of MDFT by the trainer, with clips prefetched as by default on a CPU."""
    config, clips = _config(point.shape, point.batch), random_clips(point.shape)
    before, seconds = _most_memory(), []
    start = 0.0

    def after_step() -> None:
        nonlocal start
        now = time.process_time()
        seconds.append(now - start)
        if len(seconds) > point.rounds + 1:  # the first two include initialisation
            raise Stop
        start = time.process_time()

    with suppress(Stop):
        train(config, clips, after_step)
    return Cost(min(seconds[2:]), _most_memory() - before, LEARNED * parameters(config))


def evaluation(point: Point) -> Cost:
    """Measure the distances of all test clips to the classes, by a new model, and β."""
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
    """Return the peak memory of this process in bytes; macOS reports bytes, others kilobytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
