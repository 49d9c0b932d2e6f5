"""`python -m export.summary RUN`: the last screen, scores, firing rates, parity and files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from export.to_nir import MANIFEST, PARITY, PROBE, graph_path
from mdft.errors import UserError, run_main
from mdft.model import PATHWAYS
from mdft.runs import MODEL, RESULTS, read_results, run_folder
from mdft.screen import rates_table, scores_table


@dataclass(frozen=True)
class SummaryConfig:
    """Show what a run scored and how its spikes agree between simulators."""

    run: tyro.conf.Positional[Path]
    """The run's folder, or the checkpoint file in it."""


@dataclass(frozen=True)
class Agreement:
    """One comparison over both pathways.

    Attributes:
        level: of the parity ladder, or a dash for what is only reported.
        sides: what is compared.
        compared: spikes compared.
        differing: spikes that differ.
        required: whether it has to be none.
    """

    level: str
    sides: str
    compared: int
    differing: int
    required: bool


def agreements(folder: Path) -> list[Agreement]:
    """Every comparison that the run's folder holds, from ``parity_*.json``.

    Args:
        folder: of a run after ``export.to_nir`` and ``hardware.run --json``.
    """
    found = []
    if (folder / PARITY).exists():
        layers = [layer for layers in _read(folder / PARITY).values() for layer in layers]
        found.append(_agreement("0", "PyTorch and the .nir file in nirtorch", layers, True))
    floating = _hardware(folder, "lava_float", "must", "probe")
    if floating:
        found.append(_agreement("1", "PyTorch and Lava floating point", floating, True))
    twin = _hardware(folder, "lava_fixed", "must", "reference_int")
    if twin:
        sides = "integer reference and Lava fixed point"
        found.append(_agreement("2", sides, twin, True))
    fixed = _hardware(folder, "lava_fixed", "shown", "probe")
    if fixed:
        found.append(_agreement("–", "PyTorch and Lava fixed point", fixed, False))
    return found


def _agreement(level: str, sides: str, layers: list[dict], required: bool) -> Agreement:
    compared = sum(x["compared"] for x in layers)
    return Agreement(level, sides, compared, sum(x["differing"] for x in layers), required)


def _hardware(folder: Path, backend: str, group: str, other: str) -> list[dict]:
    files = [folder / f"parity_{backend}_{pathway}.json" for pathway in PATHWAYS]
    return [x for f in files if f.exists() for x in _read(f)[group][other]]


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error}); make it again") from error


def parity_table(rows: list[Agreement]) -> Table:
    """Spikes compared and differing of each comparison."""
    table = Table(title="Spikes that differ, on the probe clips", title_justify="left")
    table.add_column("level", style="bold", justify="center")
    table.add_column("compared")
    table.add_column("spikes", justify="right")
    table.add_column("differing", justify="right")
    for row in rows:
        share = f" ({row.differing / row.compared:.3%})" if row.differing else ""
        colour = "red" if row.required and row.differing else "green" if row.required else "yellow"
        text = f"[{colour}]{row.differing:,}{share}[/]"
        table.add_row(row.level, row.sides, f"{row.compared:,}", text)
    return table


def files_table(folder: Path) -> Table:
    """Where the run's files are, and what each is."""
    table = Table(title=f"Files in {folder}", title_justify="left", show_header=False)
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
    """The command line; 1 if a spike differs that must not."""
    config = tyro.cli(SummaryConfig, args=args, prog="python -m export.summary")
    folder = run_folder(config.run)
    if not (folder / RESULTS).exists():
        raise UserError(f"{folder}: no {RESULTS} there; finish the run with --resume")
    results, rows, console = read_results(folder), agreements(folder), Console()
    console.print("", scores_table(results), "")
    if results.firing_rates:
        console.print(rates_table(results), "")
    if rows:
        console.print(parity_table(rows))
        console.print(
            "[dim]A Loihi neuron counts in integers; levels 0 to 2 have to be exact, the last row "
            "is what rounding does.[/]\n"
        )
    console.print(files_table(folder))
    return int(any(row.required and row.differing for row in rows))


if __name__ == "__main__":
    run_main(main)
