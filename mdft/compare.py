"""``python -m mdft.compare [RECIPE] --seeds 5``: every system of the field in one harness."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from mdft.cli import run_main
from mdft.config.baselines import SystemName
from mdft.config.train import TrainConfig
from mdft.errors import require
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


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.compare")
    require(command.seeds >= 1, "--seeds", command.seeds, "at least 1")
    # Imported here: --help and a mistyped flag are answered without torch.
    from rich.console import Console

    from mdft.experiments.compare_report import KEYS
    from mdft.experiments.compare_space import choices_json, file_of, trials
    from mdft.experiments.comparison import Comparison, chosen_systems, write_comparison
    from mdft.experiments.report import facts, read_texts
    from mdft.experiments.spread import spread_table
    from mdft.experiments.sweep import Outcome, report_failures
    from mdft.files import write_atomic
    from mdft.systems.build import TITLES

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


if __name__ == "__main__":
    run_main(main)
