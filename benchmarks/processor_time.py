"""Interleaved processor time of the whole process, all its threads: the price a core."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Taken:
    """Seconds of one work: medians of CPU and wall time, and the least CPU time."""

    cpu: float
    wall: float
    least: float


def measure(works: Mapping[str, Work], rounds: int) -> dict[str, Taken]:
    """Time each work over rounds of A B C, A B C, …

    The first round is not counted; what took over a second in it is measured twice only.
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
