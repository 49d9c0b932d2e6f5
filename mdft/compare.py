"""``python -m mdft.compare [RECIPE] --seeds 5``: every system of the field in one harness."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from mdft.cli import run_main
from mdft.config.baselines import SystemName
from mdft.config.train import TrainConfig
from mdft.errors import require, unknown
from mdft.experiments.compare_figure import write_comparison_figure
from mdft.experiments.compare_report import KEYS, Entry, comparison_report
from mdft.experiments.compare_space import Choice, Trial, choices_json, choose, file_of, trials
from mdft.experiments.report import facts, read_texts
from mdft.experiments.spread import spread_table
from mdft.experiments.sweep import Outcome, finished_results, plan, report_failures, sweep
from mdft.files import write_atomic
from mdft.systems.build import TITLES, build
from mdft.training.command_line import config_of, parse


@dataclass(frozen=True)
class Command(TrainConfig):
    """Train and test every system; call it again to resume. Takes the flags of mdft.train.

    Writes OUT/SYSTEM/seedK, a run's folder each, OUT/tuned.json, and the report with its figure.
    """

    system: tyro.conf.Suppress[SystemName] = "mdft"
    seed: tyro.conf.Suppress[int] = 0
    init: tyro.conf.Suppress[Path | None] = None
    seeds: int = 5
    """How many: 0, 1, …"""
    tune: int = 1
    """Trials of each system on seed 0, by validation HM; 1: as published, untuned."""
    jobs: int = 2
    """Runs at once; the cores are shared between them."""
    only: tuple[str, ...] = ()
    """Run these systems only; the report shows whatever is finished."""
    out: Path = Path("runs/compare")
    """Folder of the runs."""
    table: Path = Path("docs/results.md")
    """The report; its figure goes beside it, as .svg."""


@dataclass(frozen=True)
class Comparison:
    """What to run.

    Attributes:
        tried: system → its trials.
        seeds: of the final runs.
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
        """System → its best trial, of those systems that have a finished one."""
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
        """System → what is finished, with its number of trained parameters."""
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
        only: names asked for; empty: all.

    Raises:
        UserError: there is no such system.
    """
    for name in only:
        if name not in TITLES:
            raise unknown("--only", name, TITLES)
    return [name for name in TITLES if name in only or not only]


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.compare")
    require(command.seeds >= 1, "--seeds", command.seeds, "at least 1")
    config, names = config_of(command), chosen_systems(command.only)
    texts = read_texts(command.table, KEYS)  # damage is met before hours of training, not after
    tried = {name: trials(config, name, command.tune) for name in TITLES}
    comparison = Comparison(tried, range(command.seeds), command.out)
    screen = Console(stderr=True)
    tuned = comparison.tune(names, command.jobs, screen)
    write_atomic(file_of(command.out), choices_json(comparison.choices(), tried).encode())
    outcome = comparison.run(names, command.jobs, screen)
    entries = comparison.entries()
    typed = shlex.join(["python", "-m", "mdft.compare", *sys.argv[1:]])
    runs = [result for entry in entries.values() for result in entry.results]
    measured = facts(typed, recipe, comparison.seeds, command.jobs, runs)
    measured["trials of each system"] = str(command.tune)
    write_comparison(command.table, entries, texts, measured)
    shown = {TITLES[name]: entries[name].results for name in names}
    Console().print(spread_table(shown, "Comparison"), f"\nreport {command.table}")
    # A first trial that failed is the first final run too: say each line once.
    return report_failures(Outcome({}, list(dict.fromkeys([*tuned.failures, *outcome.failures]))))


def write_comparison(
    path: Path,
    entries: Mapping[str, Entry],
    texts: Mapping[str, str],
    measured: Mapping[str, str],
) -> None:
    """Write the report and the figure beside it; hand-written text stays.

    Args:
        path: of the report.
        entries: system → what is known of it.
        texts: key of ``KEYS`` → text.
        measured: of :func:`mdft.experiments.report.facts`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    write_comparison_figure(figure, {name: entry.results for name, entry in entries.items()})
    write_atomic(path, comparison_report(entries, texts, measured, figure.name).encode())


if __name__ == "__main__":
    run_main(main)
