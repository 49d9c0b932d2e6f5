"""``python -m mdft.ablate [RECIPE]``: the paper's Tables 2, 3, 4 and Figure 5 over seeds."""

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
    """Run every ablation of the paper; call it again to resume. Takes all flags of mdft.train.

    Writes OUT/ROW/seedK, a run's folder each, and the report with its figure.
    """

    out: Path = Path("runs/ablate")
    """Folder of the runs."""
    table: Path = Path("docs/ablations.md")
    """The report; its figure goes beside it, as .svg."""
    only: tuple[str, ...] = ()
    """Run these rows only; the report shows whatever is finished."""


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.ablate")
    require(command.system == "mdft", "--model", command.system, "mdft, whose parts these are")
    # Imported here: --help and a mistyped flag are answered without torch.
    from rich.console import Console

    from mdft.experiments.ablations import chosen_rows, distinct_rows
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
    everything = plan(chosen_rows(rows, ()), command.seeds, command.out)
    names = {row.name for row in chosen_rows(rows, command.only)}
    read_texts(command.table)  # damage is met before hours of training, not after
    outcome = sweep(
        [job for job in everything if job.row in names],
        command.out,
        at_once=command.jobs,
        console=Console(stderr=True),
    )
    found = finished_results(everything)
    for name in (name for name in names if found[name]):
        write_summary(command.out / name, found[name])
    typed = shlex.join(["python", "-m", "mdft.ablate", *sys.argv[1:]])
    runs = [result for results in found.values() for result in results]
    measured = facts(typed, recipe, command.seeds, command.jobs, runs)
    write_report(command.table, {name: found[row.name] for name, row in rows.items()}, measured)
    Console().print(
        spread_table({name: found[name] for name in found if name in names}, "Ablations"),
        f"\nreport {command.table}",
    )
    return report_failures(outcome)


if __name__ == "__main__":
    run_main(main)
