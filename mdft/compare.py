"""``python -m mdft.compare [RECIPE] --seeds 5``: train and test MDFT and all baselines."""

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
    """Train and test MDFT and all baselines on the same clips, with several seeds.

    Writes one run folder OUT/SYSTEM/seedK per system and seed, OUT/tuned.json with the chosen
    hyperparameters, and a report with a figure. Repeat the command to resume it. Accepts the
    flags of mdft.train.
    """

    system: tyro.conf.Suppress[SystemName] = "mdft"
    seed: tyro.conf.Suppress[int] = 0
    init: tyro.conf.Suppress[Path | None] = None
    seeds: int = 5
    """Number of seeds; the seeds are 0, 1, …"""
    tune: int = 1
    """Hyperparameter settings to try per system with seed 0, choosing by validation HM; 1: only the
    published hyperparameters."""
    jobs: int = 2
    """Number of runs at a time; they share the CPU cores."""
    only: tuple[str, ...] = ()
    """Names of the systems to run; default: all. The report contains every finished run."""
    out: Path = Path("runs/compare")
    """Folder that the runs are written to."""
    table: Path = Path("docs/results.md")
    """The report to write; its figure goes to the same path with the ending .svg."""


def main() -> int:
    """Run the command; return 0 if every run is finished, 1 if one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.compare")
    require(command.seeds >= 1, "--seeds", command.seeds, "at least 1")
    # Imported here: --help and a mistyped flag need no torch.
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
    texts = read_texts(command.table, KEYS)  # refuse a damaged report before hours of training
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
    rows = {TITLES[name]: entries[name].results for name in names}
    Console().print(spread_table(rows, "Comparison"), f"\nreport {command.table}")
    # A failed first trial may also be the first final run: print each line once.
    return report_failures(Outcome({}, list(dict.fromkeys([*tuned.failures, *outcome.failures]))))


if __name__ == "__main__":
    run_main(main)
