"""``python -m mdft.evaluate RUN``: test a trained run again and compare with its results.

Writes ``per_class.csv`` and ``confusion.csv`` into the run's folder. Only the test splits are
scored, because stage 2 trained the saved model on the validation clips.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mdft.cli import parse, run_main

if TYPE_CHECKING:
    from mdft.training.evaluation import Evaluation


@dataclass(frozen=True)
class Command:
    """Test a trained run again, compare with its results.json and write its per-class tables.

    Attributes:
        run: folder of the trained run, or the checkpoint file in it.
        json: print one line of JSON and nothing else.
        device: auto, cpu or cuda; default: the device setting of the training.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    json: bool = False
    device: str | None = None


def row(evaluation: Evaluation, folder: Path) -> str:
    """One line of JSON: the new results, ``run``, and ``changed``, the fields that differ."""
    found = {"run": str(folder), **asdict(evaluation.results), "changed": evaluation.changed}
    return json.dumps(found)


def main(command: Command) -> int:
    """Run the command; return 0."""
    # Imported here: --help and a mistyped flag need no torch.
    from mdft.distributed import reproducible
    from mdft.runs.folder import RESULTS, read_config, run_folder
    from mdft.training.evaluation import evaluate
    from mdft.training.tables import write_tables

    folder = run_folder(command.run)
    if reproducible.possible() and read_config(folder).compute.reproducible:
        reproducible.restart()
        reproducible.begin()
    found = evaluate(command.run, command.device)
    write_tables(folder, found.split, found.clips.classes, found.results.beta)
    if command.json:
        print(row(found, folder))
    else:
        _show(found, folder)
    for name in found.changed:
        now, before = getattr(found.results, name), getattr(found.saved, name)
        print(f"note: {name} is {now}, {RESULTS} has {before}", file=sys.stderr)
    return 0


def _show(found: Evaluation, folder: Path) -> None:
    from rich.console import Console

    from mdft.runs.folder import RESULTS
    from mdft.training.screen import rates_table, scores_table
    from mdft.training.tables import CONFUSION, PER_CLASS, kinds_table

    console = Console()
    console.print(scores_table(found.results), "")
    console.print(kinds_table(found.split, found.results.beta), "")
    if found.results.firing_rates:
        console.print(rates_table(found.results), "")
    if not found.changed:
        console.print(f"equal to {RESULTS}, to the last digit")
    tables = f"classes   {folder / PER_CLASS}\nconfusion {folder / CONFUSION}"
    console.print(tables, soft_wrap=True, markup=False)


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.evaluate")))
