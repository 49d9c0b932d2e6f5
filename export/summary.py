"""`python -m export.summary RUN`: print scores, firing rates, parity and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from export.files import graph_path
from hardware.manifest import MANIFEST, PROBE
from mdft.cli import parse, run_main
from mdft.errors import UserError

if TYPE_CHECKING:
    from export.agreement import Agreement


@dataclass(frozen=True)
class SummaryConfig:
    """Show the scores of a run and the agreement of its spikes between simulators."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder, or the checkpoint file in it."""


def parity_table(rows: list[Agreement]) -> Table:
    """Return a table of the numbers of compared and differing spikes."""
    # Imported here and below, so that --help and a mistyped flag do not import torch.
    from export.agreement import REPORTED
    from mdft.model.mdft import PATHWAYS

    table = Table(title="Spikes that differ, on the probe clips", title_justify="left")
    table.add_column("level", style="bold", justify="center")
    table.add_column("compared")
    table.add_column("runtime")
    table.add_column("spikes", justify="right")
    table.add_column("differing", justify="right")
    for row in rows:
        colour = "red" if row.failed else "green" if row.level != REPORTED else "yellow"
        text = f"[{colour}]{_differing(row)}[/]"
        partial = set(row.pathways) != set(PATHWAYS)
        sides = f"{row.sides}, {', '.join(row.pathways)} only" if partial else row.sides
        table.add_row(row.level, sides, row.runtime, f"{row.compared:,}", text)
    return table


def _differing(row: Agreement) -> str:
    text = f"{row.differing:,}"
    if row.differing:
        text += f" ({row.differing / row.compared:.3%})"
    if row.membranes:
        text += f", {row.membranes:,} membranes"
    return f"{text}, failed" if row.failed else text


def files_table(folder: Path) -> Table:
    """Return a table of the run's files and their contents."""
    from mdft.model.mdft import PATHWAYS
    from mdft.runs.folder import MODEL, RESULTS

    table = Table(title=escape(f"Files in {folder}"), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    graphs = [graph_path(folder, pathway).name for pathway in PATHWAYS]
    for names, what in (
        ((MODEL,), "the trained model: mdft.load(RUN)"),
        (graphs, "the spiking motion branch, for any NIR reader"),
        ((PROBE, MANIFEST), "real inputs, spikes and membranes to check a simulator with"),
        ((RESULTS, "metrics.jsonl"), "the scores; every epoch"),
        (("tensorboard",), "curves: tensorboard --logdir RUN"),
    ):
        if all((folder / name).exists() for name in names):
            table.add_row("\n".join(names), what)
    return table


def main(args: list[str] | None = None) -> int:
    """Run the command; return 1 if a spike differs that must be equal."""
    config = parse(SummaryConfig, "python -m export.summary", args)
    from export.agreement import agreements
    from mdft.runs.folder import RESULTS, read_config, read_results, run_folder
    from mdft.training.screen import rates_table, scores_table

    folder = run_folder(config.run)
    if not (folder / RESULTS).exists():
        raise UserError(f"{folder}: no {RESULTS} there; finish the run with --resume")
    read_config(folder)  # refuses a network for recordings by name
    results, rows, console = read_results(folder), agreements(folder), Console()
    console.print("", scores_table(results), "")
    if results.firing_rates:
        console.print(rates_table(results), "")
    if rows:
        console.print(parity_table(rows))
        console.print(
            "[dim]A Loihi neuron counts in integers. What has a level has to be exact; a dash "
            "marks an arithmetic other than the training's.[/]\n"
        )
    console.print(files_table(folder))
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    run_main(main)
