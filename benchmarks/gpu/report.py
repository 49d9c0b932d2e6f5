"""The results in Markdown, for ``docs/performance.md``: the targets, then every figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.gpu.results import REASON, Result, Row
from mdft.config.recipes import ucf


@dataclass(frozen=True)
class Target:
    """A bound on a figure of one or more rows; the worst of them counts.

    Attributes:
        text: what is bounded.
        part: the part that measures it.
        column: the column of its figure.
        bound: the largest figure, or the smallest if ``least``.
        least: whether the figure must be at least the bound.
        rows: cells that a row must have to count.
    """

    text: str
    part: str
    column: str
    bound: float
    least: bool = False
    rows: tuple[tuple[str, str], ...] = ()

    def found(self, results: Iterable[Result]) -> list[float]:
        """The figures of all rows that count; empty if one of them was not measured."""
        rows = [row for result in results if result.part == self.part for row in result.rows]
        rows = [row for row in rows if all(row.get(key) == cell for key, cell in self.rows)]
        figures = [row.get(self.column) for row in rows]
        measured = [float(figure) for figure in figures if isinstance(figure, (int, float))]
        return measured if len(measured) == len(figures) else []

    def row(self, results: Sequence[Result], *, dry: bool) -> Row:
        """The row of the table."""
        figures, worst = self.found(results), min if self.least else max
        found = worst(figures) if figures else None
        holds = "not measured"
        if found is not None:
            fine = found >= self.bound if self.least else found <= self.bound
            holds = "dry run" if dry else "yes" if fine else "no"
        sign = "≥" if self.least else "≤"
        return {
            "target": self.text,
            "bound": f"{sign} {self.bound:g}",
            "found": found,
            "holds": holds,
        }


STRICT = ("precision", "float32")
TARGETS = (
    Target(
        "motion branch over the larger of products and traffic",
        "motion",
        "branch / larger floor",
        1.3,
    ),
    Target(
        "snnTorch over the motion branch, strict float32",
        "peers",
        "theirs / branch",
        15,
        least=True,
        rows=(STRICT, ("library", "snnTorch")),
    ),
    Target(
        "SpikingJelly's Triton neuron over the motion branch, strict float32",
        "peers",
        "theirs / branch",
        1,
        least=True,
        rows=(STRICT, ("backend", "triton")),
    ),
    Target(
        f"{ucf().epochs} epochs of UCF's size in strict float32, seconds",
        "training",
        f"{ucf().epochs} epochs, s",
        120,
        rows=(("measured", "epoch"),),
    ),
)


def markdown(results: Sequence[Result], *, dry: bool) -> str:
    """Return the whole report.

    Args:
        results: the results so far, in their order.
        dry: whether the figures mean nothing.
    """
    device = next((r.rows[0] for r in results if r.part == "device" and r.rows), {})
    name = f"{device.get('name', 'unknown device')}, {device.get('date', 'no date')}"
    lines = [f"`python -m benchmarks.gpu`: {name}.", ""]
    if dry:
        lines += ["A dry run: the figures are of tiny sizes on a CPU and mean nothing.", ""]
    lines += [_table([target.row(results, dry=dry) for target in TARGETS]), ""]
    for result in results:
        lines += [f"### {result.part}: {result.state}, {result.seconds:.0f} s", ""]
        lines += [f"- {' '.join(text.split())}" for text in result.missing]
        lines += [""] * bool(result.missing)
        if rows := summed(result):
            lines += [_table(rows), ""]
    return "\n".join(lines)


def figures(results: Sequence[Result]) -> dict[str, float]:
    """Return target → its worst figure, of those that were measured."""
    found = {}
    for target in TARGETS:
        if measured := target.found(results):
            found[target.text] = (min if target.least else max)(measured)
    return found


def summed(result: Result) -> list[Row]:
    """The rows of a part; those of the tests as one row for each outcome."""
    if result.part != "tests":
        return result.rows
    numbers: dict[str, int] = {}
    for row in result.rows:
        number = row.get("tests", 1)
        assert isinstance(number, int)
        numbers[str(row["outcome"])] = numbers.get(str(row["outcome"]), 0) + number
    return [{"outcome": outcome, "tests": number} for outcome, number in numbers.items()]


def _table(rows: Sequence[Row]) -> str:
    """A table in Markdown: the columns of all rows but the reasons, in their order."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != REASON))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
