"""``python -m benchmarks.growth``: how time and memory grow with T, B, N, clips and classes.

The benchmark measures a training step of MDFT over seconds T, batch B and width N, and an
evaluation over test clips and classes; each size is doubled at least four times. Each column
has its exponent: the slope of a line through the upper half in a log-log plot; 1 is linear growth.
There are N² weights, so that matrix products and number of parameters tend to the exponent 2 in N.

Time is the least processor time of some steps. Memory is the peak of the process minus its memory
with the clips loaded, without weights, gradients and Adam's moments, whose size is known.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.figures import write_figures
from benchmarks.points import Cost, Point, evaluation, isolated, training_step
from benchmarks.synthetic import Shape


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    quick: bool = False
    """A narrow model, three sizes of each, one counted step."""
    rounds: int = 4
    """Counted steps, or evaluations."""
    figures: Path | None = None
    """Also write the ratios to this JSON file, for ``python -m benchmarks``."""


@dataclass(frozen=True)
class Scan:
    """A measurement over one size.

    Attributes:
        title: the title of its table.
        name: the name of the size, a field of :class:`Point` or of its shape.
        work: the function to measure.
        points: size → point.
    """

    title: str
    name: str
    work: Callable[[Point], Cost]
    points: dict[int, Point]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of ``log cost`` over ``log size``, least squares over the upper half.

    Args:
        sizes: at least three increasing sizes.
        costs: the positive cost of each size.
    """
    half = (len(sizes) - 1) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(costs[half:]), 1)[0])


def scans(options: Options) -> list[Scan]:
    """Return the scans in order: each size starts at its least value and is doubled."""
    width, batch, doubled, few = (32, 8, 2, 16) if options.quick else (512, 16, 4, 64)
    rounds = 1 if options.quick else options.rounds
    base = Point(Shape(clips=400, test=150, width=width), batch, rounds)
    narrow = Point(Shape(clips=400, test=150, width=32, seconds=4), 64, rounds)
    clips = 4 * few * 2**doubled  # four clips of each class
    many = replace(narrow, shape=replace(narrow.shape, clips=clips, test=clips))

    def scan(title: str, field: str, least: int, point: Point) -> Scan:
        work = training_step if point is base else evaluation
        sizes = [least * 2**k for k in range(doubled + 1)]
        return Scan(title, field, work, {size: _with(point, field, size) for size in sizes})

    at = f"N {width}, B {batch}"
    return [
        scan(f"step over T, {at}", "seconds", 4, base),
        scan(f"step over B, N {width}, T 10", "batch", 8, base),
        scan(f"step over N, B {batch}, T 10", "width", 32, base),
        scan("evaluation over clips, N 32, T 4, 51 classes", "test", 8 * few, narrow),
        scan(f"evaluation over classes, N 32, T 4, {clips} clips", "classes", few, many),
    ]


def _with(point: Point, field: str, size: int) -> Point:
    if field == "batch":
        return replace(point, batch=size)
    return replace(point, shape=replace(point.shape, **{field: size}))


def exponents(scan: Scan, costs: Sequence[Cost]) -> tuple[float, float]:
    """Return the exponents of time and of memory; less than 1 MB counts as 1 MB."""
    sizes = list(scan.points)
    seconds = exponent(sizes, [cost.seconds for cost in costs])
    return seconds, exponent(sizes, [max(cost.peak - cost.learned, 2**20) for cost in costs])


def table(scan: Scan, costs: Sequence[Cost]) -> Table:
    """Return a table of the cost of every size, with the exponents in the last row.

    Args:
        scan: the scan.
        costs: the costs of its points.
    """
    out = Table(title=scan.title, title_justify="left")
    for column in (scan.name, "ms", "MB", "MB learned"):
        out.add_column(column, justify="right")
    for size, cost in zip(scan.points, costs, strict=True):
        held, learned = cost.peak - cost.learned, cost.learned
        cells = f"{1e3 * cost.seconds:.1f}", f"{held / 2**20:.1f}", f"{learned / 2**20:.1f}"
        out.add_row(str(size), *cells)
    seconds, memory = exponents(scan, costs)
    out.add_section()
    out.add_row("exponent", f"{seconds:.2f}", f"{memory:.2f}", "")
    return out


def main(options: Options) -> None:
    """Print the tables."""
    console = Console(width=100)
    where = f"{platform.machine()}, one thread, torch {torch.__version__}"
    console.print(f"processor time and memory, {where}")
    figures: dict[str, float] = {}
    for scan in scans(options):
        costs = isolated(scan.work, list(scan.points.values()))
        console.print(table(scan, costs))
        names = f"exponent of time, {scan.title}", f"exponent of memory, {scan.title}"
        figures |= dict(zip(names, exponents(scan, costs), strict=True))
    write_figures(options.figures, figures)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
