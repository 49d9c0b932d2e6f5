"""Interleaved processor time of the whole process with all its threads.

Other processes can only increase it: the least of several rounds is the best estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

Work = Callable[[], object]
#: A function that runs a step and returns its seconds.
Timed = Callable[[], float]


@dataclass(frozen=True)
class Taken:
    """The seconds of one work: medians of CPU and wall time, and the least CPU time."""

    cpu: float
    wall: float
    least: float


def measure(works: Mapping[str, Work], rounds: int) -> dict[str, Taken]:
    """Time each work over rounds of A B C, A B C, …

    The first round is not counted; works that took over a second in it are measured only twice.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    slow: set[str] = set()
    for index in range(rounds + 1):
        for name, work in works.items():
            if name in slow and index > 2:
                continue
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            taken = time.process_time() - cpu, time.perf_counter() - wall
            if index:
                found[name].append(taken)
            elif taken[1] > 1:
                slow.add(name)
    times = {name: tuple(zip(*taken, strict=True)) for name, taken in found.items()}
    return {n: Taken(median(cpu), median(wall), min(cpu)) for n, (cpu, wall) in times.items()}


def timed(work: Callable[[], object], device: str = "cpu") -> Timed:
    """Return a function that runs ``work`` and returns its processor (CUDA: wall) time."""
    if device == "cuda":

        def on_clock() -> float:
            torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            torch.cuda.synchronize()
            return time.perf_counter() - start

        return on_clock

    def on_processor() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return on_processor


def minima(works: Mapping[str, Timed], *, rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Return the least seconds of each work over rounds of A B C, A B C, …

    Args:
        works: name → a function that runs a step and returns its seconds.
        rounds: the number of counted rounds.
        warm_up: the number of rounds before them, which are not counted.
    """
    least = dict.fromkeys(works, float("inf"))
    for index in range(warm_up + rounds):
        for name, work in works.items():
            seconds = work()
            if index >= warm_up:
                least[name] = min(least[name], seconds)
    return least
