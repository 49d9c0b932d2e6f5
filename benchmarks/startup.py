"""``python -m benchmarks.startup``: time of imports and of ``--help`` of every command.

Each is measured in a new process, from its start to its end. The least of several rounds counts,
because other processes can only increase it. Processor time is that of all threads of the process;
it depends less on other processes. The baseline is Python itself, which starts and ends. The first
round is not counted; it reads the files into memory and compiles them.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from tests.commands import commands

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mdft", "events", "hardware")
#: Targets in seconds on an idle machine.
IMPORT_TARGET, HELP_TARGET = 0.3, 1.0
BASELINE = "python -c pass"


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    rounds: int = 5
    """Counted rounds; every round starts each process once."""
    only: tuple[str, ...] = ()
    """Measure only these commands, such as mdft.train."""


@dataclass(frozen=True)
class Start:
    """A process to start.

    Attributes:
        arguments: the arguments of the interpreter.
        target: the target in seconds; None for the baseline.
    """

    arguments: tuple[str, ...]
    target: float | None = None


@dataclass(frozen=True)
class Cost:
    """The times of a process, seconds.

    Attributes:
        wall: the time from its start to its end.
        processor: user and system time of all its threads.
    """

    wall: float
    processor: float


def starts(only: Sequence[str] = ()) -> dict[str, Start]:
    """Return name → process: baseline, imports of the packages, ``--help`` of the commands.

    Args:
        only: the commands to start; empty: all.
    """
    found = {BASELINE: Start(("-c", "pass"))}
    for package in PACKAGES:
        found[f"import {package}"] = Start(("-c", f"import {package}"), IMPORT_TARGET)
    for module in only or commands():
        found[f"{module} --help"] = Start(("-m", module, "--help"), HELP_TARGET)
    return found


def measured(start: Start) -> Cost:
    """Start a process, wait for its end, and return its times.

    Raises:
        subprocess.CalledProcessError: the process failed.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *start.arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, used)


def least(starts: Mapping[str, Start], rounds: int) -> dict[str, Cost]:
    """Return the least wall and processor time of each process over rounds of A B C, A B C, …

    Args:
        starts: name → process.
        rounds: the number of counted rounds, after one that is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in starts}
    for index in range(1 + rounds):
        for name, start in starts.items():
            cost = measured(start)
            if index:
                costs[name].append(cost)
    return {
        name: Cost(min(c.wall for c in found), min(c.processor for c in found))
        for name, found in costs.items()
    }


def table(starts: Mapping[str, Start], costs: Mapping[str, Cost]) -> Table:
    """Return a table with seconds, ratio to the baseline and target of each process."""
    found = Table(title="Start-up, seconds", title_justify="left")
    found.add_column("process", style="bold")
    for heading in ("wall", f"× {BASELINE}", "processor", "target (wall)"):
        found.add_column(heading, justify="right")
    floor = costs[BASELINE]
    for name, start in starts.items():
        cost, target = costs[name], start.target
        verdict = (
            "" if target is None else f"{target:g}, {'met' if cost.wall <= target else 'missed'}"
        )
        ratio = f"{cost.wall / floor.wall:.1f}"
        found.add_row(name, f"{cost.wall:.2f}", ratio, f"{cost.processor:.2f}", verdict)
    return found


def main(options: Options) -> None:
    """Print the table."""
    chosen = starts(options.only)
    load = os.getloadavg()[0]  # read first: other processes increase wall times
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, cores: {os.cpu_count()}, Python {platform.python_version()}; "
        f"load of the machine before: {load:.1f}; least of {options.rounds} rounds"
    )
    console.print(table(chosen, least(chosen, options.rounds)))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
