"""``python -m mdft.bits [RECIPE]``: HM against weight bits, fine-tuned in Loihi's arithmetic."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from mdft import reproducible
from mdft.baselines.config import SystemName
from mdft.errors import run_main
from mdft.experiments.bits_plan import Tuning, float_jobs, tuned_jobs
from mdft.experiments.bits_report import KEYS, bits_report, write_bits_figure
from mdft.experiments.report import facts, read_texts
from mdft.experiments.spread import spread_table
from mdft.experiments.sweep import (
    SweepCommand,
    finished_results,
    report_failures,
    sweep,
    write_summary,
)
from mdft.runs import write_atomic
from mdft.train import config_of, parse


@dataclass(frozen=True)
class Command(SweepCommand):
    """Train in float, then fine-tune in Loihi's arithmetic with fewer and fewer weight bits.

    Call it again to resume. Takes all flags of mdft.train, for the float runs. Writes
    OUT/ROW/seedK, a run's folder each, and the report with its figure.
    """

    system: tyro.conf.Suppress[SystemName] = "mdft"
    out: Path = Path("runs/bits")
    """Folder of the runs."""
    runs: Path | None = None
    """Folder of finished float runs, seedK each, of this configuration; default: trained here."""
    bits: tuple[int, ...] = (8, 7, 6, 5, 4, 3, 2)
    """Bits of a weight, one row each."""
    tune_epochs: int = 3
    """Epochs of fine-tuning."""
    tune_rate: float | None = None
    """Adam's learning rate of fine-tuning; default: a tenth of --learning-rate."""
    table: Path = Path("docs/bits.md")
    """The report; its figure goes beside it, as .svg."""


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.bits")
    if command.compute.reproducible:
        reproducible.restart()
    rate = command.learning_rate / 10 if command.tune_rate is None else command.tune_rate
    tuning = Tuning(command.bits, command.tune_epochs, rate)
    floats = float_jobs(config_of(command), command.seeds, command.out, command.runs)
    tuned = tuned_jobs(floats, tuning, command.out)
    texts = read_texts(command.table, KEYS)  # damage is met before hours of training, not after
    console = Console(stderr=True)
    outcome = sweep(floats, command.out, at_once=command.jobs, console=console)
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
    Console().print(spread_table({**found}, "Weight bits"), f"\nreport {command.table}")
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
