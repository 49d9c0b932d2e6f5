"""``python -m benchmarks.startup``: how long an import takes, and ``--help`` of every command.

Each is measured in a process of its own, from its start to its end, and the least of some rounds
counts, since what else runs on the machine only adds to it. Processor time is that of all threads
of the process; it depends less on what else runs. The baseline is Python itself, which starts and
does nothing. The first round, which is not counted, brings the files into memory and compiles them.
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
#: Seconds on an idle machine.
IMPORT_TARGET, HELP_TARGET = 0.3, 1.0
BASELINE = "python -c pass"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    rounds: int = 5
    """Counted rounds; every round starts each process once."""
    only: tuple[str, ...] = ()
    """Of the commands these alone, such as mdft.train."""


@dataclass(frozen=True)
class Start:
    """A process to start.

    Attributes:
        arguments: of the interpreter.
        target: seconds within which it has to end; None of the baseline.
    """

    arguments: tuple[str, ...]
    target: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a process cost, seconds.

    Attributes:
        wall: from its start to its end.
        processor: of all its threads, user and system.
    """

    wall: float
    processor: float


def starts(only: Sequence[str] = ()) -> dict[str, Start]:
    """Name → process: the baseline, the packages' imports, and ``--help`` of the commands.

    Args:
        only: commands to start; empty: all.
    """
    found = {BASELINE: Start(("-c", "pass"))}
    for package in PACKAGES:
        found[f"import {package}"] = Start(("-c", f"import {package}"), IMPORT_TARGET)
    for module in only or commands():
        found[f"{module} --help"] = Start(("-m", module, "--help"), HELP_TARGET)
    return found


def measured(start: Start) -> Cost:
    """Start a process, wait for its end, and return what it cost.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *start.arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, used)


def least(starts: Mapping[str, Start], rounds: int) -> dict[str, Cost]:
    """The least wall and processor time of each process over some rounds of A B C, A B C, …

    Args:
        starts: name → process.
        rounds: counted rounds, after one that is not counted.
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
    """A row for each process: seconds, the ratio to the baseline, and the target."""
    found = Table(title="Start-up, seconds", title_justify="left")
    found.add_column("process", style="bold")
    for heading in ("wall", f"× {BASELINE}", "processor", "target (wall)"):
        found.add_column(heading, justify="right")
    floor = costs[BASELINE]
    for name, start in starts.items():
        cost, target = costs[name], start.target
        shown = (
            "" if target is None else f"{target:g}, {'met' if cost.wall <= target else 'missed'}"
        )
        ratio = f"{cost.wall / floor.wall:.1f}"
        found.add_row(name, f"{cost.wall:.2f}", ratio, f"{cost.processor:.2f}", shown)
    return found


def main(options: Options) -> None:
    """Print the table."""
    chosen = starts(options.only)
    load = os.getloadavg()[0]  # before: a machine that is not idle makes wall times too long
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, cores: {os.cpu_count()}, Python {platform.python_version()}; "
        f"load of the machine before: {load:.1f}; least of {options.rounds} rounds"
    )
    console.print(table(chosen, least(chosen, options.rounds)))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
