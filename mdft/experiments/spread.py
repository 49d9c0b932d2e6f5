"""Mean and standard deviation over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.table import Table

from mdft.runs.folder import Results

#: Field of ``Results`` → its name in the paper.
SCORES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}


class Scored(Protocol):
    """What reports need of a finished run; scores are fractions."""

    @property
    def seen(self) -> float:
        """S."""
        ...

    @property
    def unseen(self) -> float:
        """U."""
        ...

    @property
    def hm(self) -> float:
        """HM."""
        ...

    @property
    def zsl(self) -> float:
        """ZSL."""
        ...

    @property
    def seed(self) -> int:
        """The training seed."""
        ...

    @property
    def seconds(self) -> float:
        """Wall-clock time of training."""
        ...


@dataclass(frozen=True)
class Spread:
    """Mean ± standard deviation of n values.

    Attributes:
        mean: ``Σ x / n``; NaN without values.
        std: ``√(Σ (x − mean)² / (n − 1))``; NaN with fewer than two values.
        n: number of values.
    """

    mean: float
    std: float
    n: int

    def percent(self, sign: bool = False) -> str:
        """``12.3 ± 0.4``, in per cent; a dash without values.

        Args:
            sign: write ``+`` before a positive mean.
        """
        if self.n == 0:
            return "–"
        mean = f"{100 * self.mean:{'+' if sign else ''}.1f}"
        return mean if math.isnan(self.std) else f"{mean} ± {100 * self.std:.1f}"


def spread(values: Iterable[float]) -> Spread:
    """Mean and standard deviation of some numbers."""
    numbers = list(values)
    mean = statistics.fmean(numbers) if numbers else math.nan
    std = statistics.stdev(numbers) if len(numbers) > 1 else math.nan
    return Spread(mean, std, len(numbers))


def score_spreads(results: Sequence[Scored]) -> dict[str, Spread]:
    """Spread of ``seen``, ``unseen``, ``hm`` and ``zsl`` over runs."""
    return {name: spread(getattr(r, name) for r in results) for name in SCORES}


def rate_spreads(results: Sequence[Results]) -> dict[str, Spread]:
    """``pathway.layer`` → spread of its firing rate; empty without spiking layers."""
    names = results[0].firing_rates if results else ()
    return {name: spread(r.firing_rates[name] for r in results) for name in names}


def spread_table(rows: Mapping[str, Sequence[Scored]], title: str) -> Table:
    """S, U, HM and ZSL of every row, in per cent, for a terminal.

    Args:
        rows: label → finished runs, one per seed, or one per training seed and data seed.
        title: title of the table.
    """
    table = Table(title=f"{title}, % ± standard deviation over seeds", title_justify="left")
    table.add_column("row", style="bold")
    for name in SCORES.values():
        table.add_column(name, justify="right", style="green" if name == "HM" else "")
    table.add_column("seeds", justify="right", style="dim")
    for label, results in rows.items():
        spreads = score_spreads(results).values()
        several = len({r.seed for r in results}) < len(results)  # data seeds
        seeds = f"{len(results)} runs" if several else " ".join(str(r.seed) for r in results)
        table.add_row(label, *(s.percent() for s in spreads), seeds or "–")
    return table


def rate_table(results: Sequence[Results]) -> Table:
    """Firing rate of every spiking layer over seeds, in per cent of neuron-steps."""
    table = Table(title="Firing rate over seeds, %", title_justify="left")
    table.add_column("layer", style="bold")
    table.add_column("rate", justify="right")
    for name, value in sorted(rate_spreads(results).items()):
        table.add_row(name, value.percent())
    return table
