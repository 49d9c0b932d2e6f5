"""The table of the training benchmark, with ratios to the floor and to the authors' code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.synthetic import Shape
from mdft.config.recipes import ucf
from mdft.systems.build import OURS, TITLES


@dataclass(frozen=True)
class Row:
    """One system at one batch size.

    Attributes:
        name: the name of the system.
        parameters: the number of trained parameters.
        seconds: the seconds of a step.
        floor: the seconds of its matrix products; None: unknown.
        products: the number of multiplications in them; None: unknown.
    """

    name: str
    parameters: int
    seconds: float
    floor: float | None = None
    products: int | None = None


def table(title: str, batch: int, rows: Sequence[Row], absent: Sequence[str]) -> Table:
    """Return the table of one batch size, including the systems without a comparison.

    Args:
        title: the title of the table.
        batch: the number of clips per step.
        rows: the measurements.
        absent: the systems whose authors' code was not given.
    """
    seconds = {row.name: row.seconds for row in rows}
    out = Table(title=title, title_justify="left")
    out.add_column("system", style="bold")
    columns = ("parameters", "ms a step", "samples/s", "G products", "floor, ms", "step / floor")
    for column in (*columns, "ours / it, samples/s", "MDFT / it"):
        out.add_column(column, justify="right")
    for row in rows:
        cells = [f"{row.parameters:,}", f"{1e3 * row.seconds:.1f}", f"{batch / row.seconds:.0f}"]
        if row.floor is not None and row.products is not None:
            cells += [f"{row.products / 1e9:.2f}", f"{1e3 * row.floor:.1f}"]
            cells += [f"{row.seconds / row.floor:.2f}"]
        else:
            cells += ["", "", ""]
        ours, _, theirs = row.name.partition(",")
        for other, wanted in ((ours, bool(theirs)), (TITLES[OURS], row.name != TITLES[OURS])):
            known = wanted and other in seconds
            cells.append(f"{row.seconds / seconds[other]:.2f}" if known else "")
        out.add_row(row.name, *cells)
    for system in absent:
        out.add_row(f"{TITLES[system]}, authors'", "", f"not given: --{system}", *[""] * 6)
    return out


def ratios(rows: Sequence[Row], setting: str) -> dict[str, float]:
    """Return seconds of each step over its products, and of each other step over MDFT's.

    Args:
        rows: the measurements of one batch size.
        setting: the end of the names.
    """
    ours = next((row.seconds for row in rows if row.name == TITLES[OURS]), None)
    found = {}
    for row in rows:
        if row.floor is not None:
            found[f"{row.name} / its products, {setting}"] = row.seconds / row.floor
        if ours is not None and row.name != TITLES[OURS]:
            found[f"{row.name} / {TITLES[OURS]}, {setting}"] = row.seconds / ours
    return found


def whole_run(shape: Shape, batch: int, step: float) -> str:
    """Estimate the time of a whole run from the seconds of a step.

    Args:
        shape: the shape of the clips.
        batch: the number of clips per step.
        step: the seconds of a step.
    """
    steps, epochs = math.ceil(shape.clips / batch), ucf().epochs
    return (
        f"B {batch}, {shape.clips} clips, estimated from the step: {steps} steps, "
        f"{steps * step:.1f} s an epoch, {epochs * steps * step / 60:.1f} min for {epochs} epochs"
    )
