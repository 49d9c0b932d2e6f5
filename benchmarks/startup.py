"""``python -m benchmarks.startup``: time of imports, of ``--help`` of every command, of predict
on a clip of 1.2 s with the released run, and of the doctor.

Each is measured in a new process, from its start to its end. The least of several rounds counts,
because other processes can only increase it. Processor time is that of all threads of the process;
it depends less on other processes. The baseline is Python itself, which starts and ends. The first
round is not counted; it reads the files into memory and compiles them: Python's into a temporary
folder, also where the environment forbids Python to write them.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.figures import write_figures
from benchmarks.targets import TARGETS
from events.preview.film import Film
from mdft import RELEASED
from tests.commands import commands

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mdft", "events", "hardware")
BASELINE, TORCH = "python -c pass", "import torch"
#: The commands of ``--quick``.
SOME = ("mdft.train", "mdft.predict", "events.convert", "hardware.run")


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    rounds: int = 5
    """Counted rounds; every round starts each process once."""
    quick: bool = False
    """Few commands, one counted round."""
    only: tuple[str, ...] = ()
    """Measure only ``--help`` of these commands, such as mdft.train."""
    figures: Path | None = None
    """Also write the seconds to this JSON file, for ``python -m benchmarks``."""


@dataclass(frozen=True)
class Start:
    """A process to start.

    Attributes:
        arguments: the arguments of the interpreter.
    """

    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """The times of a process, seconds.

    Attributes:
        wall: the time from its start to its end.
        processor: user and system time of all its threads.
    """

    wall: float
    processor: float


def starts(clip: Path, only: Sequence[str] = ()) -> dict[str, Start]:
    """Return name → process: baselines, imports of the packages, commands, ``--help`` of commands.

    Args:
        clip: the video file to predict.
        only: the commands to start with ``--help``; empty: all.
    """
    found = {BASELINE: Start(("-c", "pass")), TORCH: Start(("-c", "import torch"))}
    for package in PACKAGES:
        found[f"import {package}"] = Start(("-c", f"import {package}"))
    found["mdft.predict"] = Start(("-m", "mdft.predict", str(RELEASED), str(clip)))
    found["mdft.doctor"] = Start(("-m", "mdft.doctor"))
    for module in only or commands():
        found[f"{module} --help"] = Start(("-m", module, "--help"))
    return found


def write_clip(path: Path) -> None:
    """Write a video of a moving bar, 320×240, 30 frames per second, 1.2 s."""
    with Film(path, (320, 240), Fraction(30)) as film:
        for i in range(36):
            frame = np.zeros((240, 320, 3), np.uint8)
            frame[:, 8 * i : 8 * i + 24] = 255
            film.add(frame, 1_000_000 * i // 30)
        film.close()


def target(name: str) -> float | None:
    """Return the target of a process in seconds, if there is one."""
    limits = [t.limit for t in TARGETS if t.benchmark == "startup" and t.judge({name: 0.0}).name]
    return limits[0] if limits else None


def measured(start: Start, bytecode: Path) -> Cost:
    """Start a process, wait for its end, and return its times.

    Args:
        start: the process.
        bytecode: folder for what Python compiles.

    Raises:
        subprocess.CalledProcessError: the process failed.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, *start.arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, used)


def least(starts: Mapping[str, Start], rounds: int, bytecode: Path) -> dict[str, Cost]:
    """Return the least wall and processor time of each process over rounds of A B C, A B C, …

    Args:
        starts: name → process.
        rounds: the number of counted rounds, after one that is not counted.
        bytecode: folder for what Python compiles.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in starts}
    for index in range(1 + rounds):
        for name, start in starts.items():
            cost = measured(start, bytecode)
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
    for name in starts:
        cost, limit = costs[name], target(name)
        verdict = "" if limit is None else f"{limit:g}, {'met' if cost.wall <= limit else 'missed'}"
        ratio = f"{cost.wall / floor.wall:.1f}"
        found.add_row(name, f"{cost.wall:.2f}", ratio, f"{cost.processor:.2f}", verdict)
    return found


def main(options: Options) -> None:
    """Print the table."""
    rounds = 1 if options.quick else options.rounds
    load = os.getloadavg()[0]  # read first: other processes increase wall times
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, cores: {os.cpu_count()}, Python {platform.python_version()}; "
        f"load of the machine before: {load:.1f}; rounds: {rounds}, the least counts"
    )
    with tempfile.TemporaryDirectory(prefix="mdft-benchmark-") as name:
        clip = Path(name) / "bar.mp4"
        write_clip(clip)
        chosen = starts(clip, options.only or (SOME if options.quick else ()))
        costs = least(chosen, rounds, Path(name) / "bytecode")
    console.print(table(chosen, costs))
    figures = {name: cost.wall for name, cost in costs.items()}
    figures |= {f"{name}, processor": cost.processor for name, cost in costs.items()}
    write_figures(options.figures, figures)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
