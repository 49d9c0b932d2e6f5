"""Compare MDFT with all baselines: run the trials, choose the best of each, write the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mdft.errors import unknown
from mdft.experiments.compare_figure import write_comparison_figure
from mdft.experiments.compare_report import Entry, comparison_report
from mdft.experiments.compare_space import Choice, Trial, choose
from mdft.experiments.sweep import Outcome, finished_results, plan, sweep
from mdft.files import write_atomic
from mdft.systems.build import TITLES, build


@dataclass(frozen=True)
class Comparison:
    """The runs of a comparison.

    Attributes:
        tried: system → its trials.
        seeds: seeds of the final runs.
        out: folder of the runs.
    """

    tried: Mapping[str, Sequence[Trial]]
    seeds: Sequence[int]
    out: Path

    def tune(self, names: Sequence[str], at_once: int, console: Console) -> Outcome:
        """Run the trials of some systems."""
        rows = [trial.row for name in names for trial in self.tried[name]]
        return sweep(plan(rows, (0,), self.out), self.out, at_once=at_once, console=console)

    def choices(self) -> dict[str, Choice]:
        """System → its best trial, for the systems that have a finished trial."""
        found = {}
        for name, tried in self.tried.items():
            jobs = {job.row: job for job in plan([t.row for t in tried], (0,), self.out)}
            if choice := choose(tried, jobs):
                found[name] = choice
        return found

    def run(self, names: Sequence[str], at_once: int, console: Console) -> Outcome:
        """Train the chosen trial of some systems with every seed."""
        choices = self.choices()
        rows = [choices[name].trial.row for name in names if name in choices]
        if not rows:
            return Outcome({}, [])
        return sweep(plan(rows, self.seeds, self.out), self.out, at_once=at_once, console=console)

    def entries(self) -> dict[str, Entry]:
        """System → its finished runs and its number of trained parameters."""
        choices, entries = self.choices(), {}
        for name, tried in self.tried.items():
            choice = choices.get(name)
            row = (choice.trial if choice else tried[0]).row
            results = finished_results(plan([row], self.seeds, self.out))[row.name]
            system = build(row.config)
            count = sum(p.numel() for p in system.parameters())
            entries[name] = Entry(results if choice else [], count, choice)
        return entries


def chosen_systems(only: Sequence[str]) -> list[str]:
    """The systems to run, in the order of the table.

    Args:
        only: requested names; empty: all.

    Raises:
        UserError: a system is unknown.
    """
    for name in only:
        if name not in TITLES:
            raise unknown("--only", name, TITLES)
    return [name for name in TITLES if name in only or not only]


def write_comparison(
    path: Path,
    entries: Mapping[str, Entry],
    texts: Mapping[str, str],
    measured: Mapping[str, str],
) -> None:
    """Write the report and its figure; hand-written text is kept.

    Args:
        path: path of the report.
        entries: system → its entry.
        texts: key of ``KEYS`` → hand-written text.
        measured: the result of :func:`mdft.experiments.report.facts`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    write_comparison_figure(figure, {name: entry.results for name, entry in entries.items()})
    write_atomic(path, comparison_report(entries, texts, measured, figure.name).encode())
