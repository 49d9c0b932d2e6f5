"""``python -m mdft.ablate [RECIPE]``: the paper's Tables 2, 3, 4 and Figure 5 over seeds."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from events.errors import unknown
from mdft import reproducible
from mdft.errors import require, run_main
from mdft.experiments.ablations import distinct_rows
from mdft.experiments.figure import write_figure
from mdft.experiments.report import facts, read_texts, report
from mdft.experiments.spread import spread_table
from mdft.experiments.sweep import (
    Row,
    SweepCommand,
    finished_results,
    plan,
    report_failures,
    sweep,
    write_summary,
)
from mdft.runs import Results, write_atomic
from mdft.train import config_of, parse


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


def chosen_rows(rows: Mapping[str, Row], only: Sequence[str]) -> list[Row]:
    """Each row to run, once.

    Args:
        rows: name of every ablation → its row.
        only: names asked for; empty: all.

    Raises:
        UserError: there is no such ablation.
    """
    for name in only:
        if name not in rows:
            raise unknown("--only", name, rows)
    return list({rows[name].name: rows[name] for name in only or rows}.values())


def main() -> int:
    """The command line; 0 when every run is finished, 1 when one failed."""
    recipe, command = parse(sys.argv[1:], Command, "mdft.ablate")
    if command.compute.reproducible:
        reproducible.restart()
    require(command.system == "mdft", "--model", command.system, "mdft, whose parts these are")
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


def write_report(
    path: Path, results: Mapping[str, Sequence[Results]], measured: Mapping[str, str]
) -> None:
    """Write the report and the figure beside it; hand-written text stays.

    Args:
        path: of the report.
        results: name of every ablation → finished runs.
        measured: of :func:`mdft.experiments.report.facts`.
    """
    texts = read_texts(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    write_figure(figure, results)
    write_atomic(path, report(results, texts, measured, figure.name).encode())


if __name__ == "__main__":
    run_main(main)
