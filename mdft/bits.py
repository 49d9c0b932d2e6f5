"""``python -m mdft.bits [RECIPE]``: measure HM against the number of bits of a weight."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from mdft.cli import run_main
from mdft.config.baselines import SystemName
from mdft.files import write_atomic
from mdft.training.command_line import SweepCommand, config_of, parse


@dataclass(frozen=True)
class Command(SweepCommand):
    """Train in floating point, then fine-tune in Loihi's integer arithmetic for each bit width.

    Writes one run folder OUT/ROW/seedK per row and seed, and a report with a figure. Repeat the
    command to resume it. Accepts the flags of mdft.train, which apply to the floating-point runs.
    """

    system: tyro.conf.Suppress[SystemName] = "mdft"
    out: Path = Path("runs/bits")
    """Folder that the runs are written to."""
    runs: Path | None = None
    """Folder that holds finished float runs of this configuration in seedK; default: train them."""
    bits: tuple[int, ...] = (8, 7, 6, 5, 4, 3, 2)
    """Numbers of bits of a weight; each becomes one row of the report."""
    tune_epochs: int = 3
    """Number of fine-tuning epochs."""
    tune_rate: float | None = None
    """Adam's learning rate for fine-tuning; default: a tenth of --learning-rate."""
    table: Path = Path("docs/bits.md")
    """The report to write; its figure goes to the same path with the ending .svg."""


def main() -> int:
    """Run the command; return 0 if every run is finished, 1 if one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.bits")
    # Imported here: --help and a mistyped flag need no torch.
    from rich.console import Console

    from mdft.experiments.bits_plan import Tuning, float_jobs, tuned_jobs
    from mdft.experiments.bits_report import KEYS, bits_report, write_bits_figure
    from mdft.experiments.report import facts, read_texts
    from mdft.experiments.spread import spread_table
    from mdft.experiments.sweep import finished_results, report_failures, sweep, write_summary

    rate = command.learning_rate / 10 if command.tune_rate is None else command.tune_rate
    tuning = Tuning(command.bits, command.tune_epochs, rate)
    floats = float_jobs(config_of(command), command.seeds, command.out, command.runs)
    tuned = tuned_jobs(floats, tuning, command.out)
    texts = read_texts(command.table, KEYS)  # refuse a damaged report before hours of training
    console = Console(stderr=True)
    outcome = sweep(floats, command.out, at_once=command.jobs, console=console, known=tuned)
    if not outcome.failures:
        outcome = sweep(tuned, command.out, at_once=command.jobs, console=console)
    found = finished_results([*floats, *tuned])
    for name in {job.row for job in tuned if found[job.row]}:
        write_summary(command.out / name, found[name])
    typed = shlex.join(["python", "-m", "mdft.bits", *sys.argv[1:]])
    runs = [result for results in found.values() for result in results]
    measured = facts(typed, recipe, command.seeds, command.jobs, runs)
    measured["fine-tuning"] = f"epochs: {tuning.epochs}, learning rate: {tuning.learning_rate:g}"
    figure = command.table.with_suffix(".svg")
    command.table.parent.mkdir(parents=True, exist_ok=True)
    write_bits_figure(figure, found, command.bits)
    report = bits_report(found, command.bits, texts, measured, figure.name)
    write_atomic(command.table, report.encode())
    table = spread_table({**found}, "Weight bits")
    Console().print(table, f"\nreport {command.table}", markup=False)
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
