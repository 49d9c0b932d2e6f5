"""``python -m mdft.compare [RECIPE] --seeds 5``: train and test MDFT and all baselines."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from mdft.cli import run_main
from mdft.config.baselines import SystemName
from mdft.config.data import Compared
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.errors import require
from mdft.training.command_line import config_of, parse


@dataclass(frozen=True)
class Command(TrainConfig):
    """Train and test MDFT and all baselines on the same clips and inputs, with several seeds.

    Writes a folder OUT/INPUTS-SYSTEM-dataD/seedK per run, OUT/tuned.json with the chosen
    hyperparameters, and a report with a figure and a line of a .csv file for every finished run.
    Prints an estimate of its time first. Repeat the command to resume it: a run that is in the .csv
    file or in its folder is not repeated. Accepts the flags of mdft.train.
    """

    system: tyro.conf.Suppress[SystemName] = "mdft"
    seed: tyro.conf.Suppress[int] = 0
    init: tyro.conf.Suppress[Path | None] = None
    compare_inputs: tuple[Compared, ...] = ("features+events", "features", "whitened-features")
    """Inputs to compare on: audio and visual features, with the events, alone, or whitened."""
    data_seeds: int = 1
    """Number of benchmarks to render, with consecutive seeds of the data."""
    seeds: int = 5
    """Number of training seeds; the seeds are 0, 1, …"""
    tune: int = 1
    """Hyperparameter settings to try per system with seed 0, choosing by validation HM; 1: only the
    defaults."""
    jobs: int = 2
    """Number of runs at a time; they share the CPU cores."""
    engine: str = "processes"
    """processes of this machine, or dask://HOST:PORT for a dask cluster, whose workers have one
    thread each and see the same folders; --jobs is not used there."""
    only: tuple[str, ...] = ()
    """Names of the systems to run; default: all. The report contains every finished run."""
    out: Path = Path("runs/compare")
    """Folder that the runs are written to."""
    table: Path | None = None
    """The report to write; default: OUT/results.md. Its runs, and its figure if two systems or
    more have runs, go to the same path with the endings .csv and .svg."""


def main() -> int:
    """Run the command; return 0 if every run is finished, 1 if one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.compare")
    # Imported here: --help and a mistyped flag need no torch.
    from rich.console import Console

    from mdft.experiments.ablations import changed
    from mdft.experiments.compare_report import KEYS
    from mdft.experiments.compare_rows import ROWS, system_of
    from mdft.experiments.comparison import (
        Comparison,
        chosen_systems,
        variant_of,
        write_comparison,
    )
    from mdft.experiments.record import Record
    from mdft.experiments.report import facts, read_texts
    from mdft.experiments.spread import spread_table
    from mdft.experiments.sweep import Outcome, report_failures

    require(command.jobs >= 1, "--jobs", command.jobs, "at least 1")
    table = command.table or command.out / "results.md"
    comparison = Comparison(
        config=config_of(command),
        inputs=command.compare_inputs,
        systems=chosen_systems(command.only),
        trials=command.tune,
        data_seeds=command.data_seeds,
        seeds=command.seeds,
        out=command.out,
        record=Record(table.with_suffix(".csv")),
    )
    comparison.check()
    texts = read_texts(table, KEYS)  # refuse a damaged report before hours of training
    screen = Console(stderr=True)
    if hours := comparison.hours(command.jobs):
        screen.print(f"at most {hours:.1f} hours, if no run stops early", highlight=False)
    tuned = comparison.tune(command.jobs, screen, command.engine)
    outcome = comparison.run(command.jobs, screen, command.engine)
    blocks = comparison.blocks()
    typed = shlex.join(["python", "-m", "mdft.compare", *sys.argv[1:]])
    runs = [r for entries in blocks.values() for entry in entries.values() for r in entry.results]
    measured = facts(typed, recipe, range(command.seeds), command.jobs, runs)
    table_csv = comparison.record.path.name
    measured["runs"] = f"{len(runs)}, each a line of [{table_csv}]({table_csv})"
    measured["machine"] = "; ".join(sorted({run.machine for run in runs})) or measured["machine"]
    measured["data seeds"] = ", ".join(map(str, range(command.data_seeds)))
    measured["epochs"] = f"at most {command.epochs}, patience {command.patience or 'unlimited'}"
    measured["steps of stages 1 and 2"] = f"at most {comparison.most_steps()}"
    systems = dict.fromkeys(map(system_of, comparison.systems))
    own = {name: changed(command, {"system": name}).clips_per_step for name in systems}
    others = [f"{name} {size}" for name, size in own.items() if size != command.batch_size]
    measured["batch size"] = ", ".join([str(command.batch_size), *others])
    measured["trials of each system"] = str(command.tune)
    variant = variant_of(comparison.config, RECIPES[recipe]())
    write_comparison(table, blocks, texts, measured, variant, command.data.events)
    for inputs, entries in blocks.items():
        named = [name for name in comparison.systems if name in entries]
        rows = {ROWS[name]: entries[name].results for name in named}
        Console().print(spread_table(rows, inputs))
    Console().print(f"report {table}", markup=False)
    # A failed first trial may also be the first final run: print each line once.
    return report_failures(Outcome({}, list(dict.fromkeys([*tuned.failures, *outcome.failures]))))


if __name__ == "__main__":
    run_main(main)
