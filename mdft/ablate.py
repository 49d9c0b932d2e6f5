"""``python -m mdft.ablate [RECIPE]``: the paper's Tables 2, 3, 4 and Figure 5, and our changes."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from mdft.cli import run_main
from mdft.errors import require
from mdft.training.command_line import SweepCommand, config_of, parse


@dataclass(frozen=True)
class Command(SweepCommand):
    """Train and test every ablation of the paper, and of what was added, with several seeds.

    Writes one run folder OUT/ROW/seedK per ablation and seed, and a report with a figure. Repeat
    the command to resume it. Accepts the flags of mdft.train.
    """

    out: Path = Path("runs/ablate")
    """Folder that the runs are written to."""
    table: Path = Path("docs/ablations.md")
    """The report to write; its figure goes to the same path with the ending .svg."""
    only: tuple[str, ...] = ()
    """Names of the ablations to run; default: all. The report contains every finished run."""


def main() -> int:
    """Run the command; return 0 if every run is finished, 1 if one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.ablate")
    require(
        command.system == "mdft",
        "--model",
        command.system,
        "mdft: the ablations change parts of that model",
    )
    # Imported here: --help and a mistyped flag need no torch.
    from rich.console import Console

    from mdft.experiments.ablations import applicable, chosen_rows, distinct_rows
    from mdft.experiments.report import facts, read_texts, write_report
    from mdft.experiments.spread import spread_table
    from mdft.experiments.sweep import (
        finished_results,
        plan,
        report_failures,
        sweep,
        write_summary,
    )

    rows = distinct_rows(config_of(command))
    chosen = plan(chosen_rows(rows, command.only), command.seeds, command.out)
    names = {job.row for job in chosen}
    others = [row for row in chosen_rows(rows, ()) if row.name not in names and applicable(row)]
    known = plan(others, command.seeds, command.out)
    everything = [*chosen, *known]
    # Refuse a damaged report, and runs of other configurations, before hours of training.
    read_texts(command.table)
    finished_results(everything)
    console = Console(stderr=True)
    outcome = sweep(chosen, command.out, at_once=command.jobs, console=console, known=known)
    # In the order of the tables.
    found = {row.name: [] for row in chosen_rows(rows, ())} | finished_results(everything)
    for name in (name for name in names if found[name]):
        write_summary(command.out / name, found[name])
    typed = shlex.join(["python", "-m", "mdft.ablate", *sys.argv[1:]])
    runs = [result for results in found.values() for result in results]
    measured = facts(typed, recipe, command.seeds, command.jobs, runs)
    write_report(command.table, {name: found[row.name] for name, row in rows.items()}, measured)
    Console().print(
        spread_table({name: found[name] for name in found if name in names}, "Ablations"),
        f"\nreport {command.table}",
        markup=False,
    )
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
