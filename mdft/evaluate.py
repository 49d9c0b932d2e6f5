"""``python -m mdft.evaluate RUN``: test a saved run again and print the row it was trained to.

Writes ``per_class.csv`` and ``confusion.csv`` into the run's folder. Only the test splits can be
scored: the saved model was trained on the validation clips.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from events.cli import parse
from mdft import reproducible
from mdft.data.dataset import ClipSet
from mdft.errors import UserError, run_main
from mdft.evaluation import ScoredSplit, results_of, score_split
from mdft.protocol import STAGES
from mdft.runs import (
    RESULTS,
    Results,
    clips_of,
    load,
    read_config,
    read_results,
    resolve_device,
    run_folder,
)
from mdft.screen import rates_table, scores_table
from mdft.tables import CONFUSION, PER_CLASS, kinds_table, write_tables


@dataclass(frozen=True)
class Command:
    """Test a saved run again; writes its per-class tables.

    Attributes:
        run: the run's folder, or the checkpoint file in it.
        json: print one line of JSON and nothing else.
        device: auto, cpu or cuda; as in training if it is not given.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    json: bool = False
    device: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """A run, tested again.

    Attributes:
        results: the scores found now, with the run's own β, epoch, seed and training time.
        saved: the content of ``results.json``.
        split: distances and labels of the test clips.
        clips: the data set.
    """

    results: Results
    saved: Results
    split: ScoredSplit
    clips: ClipSet

    @property
    def changed(self) -> list[str]:
        """Names of the fields that are not, to the last digit, what ``results.json`` says."""
        return [
            f.name
            for f in fields(Results)
            if getattr(self.results, f.name) != getattr(self.saved, f.name)
        ]


def evaluate(run: Path | str, device: str | None = None) -> Evaluation:
    """Test a saved run on its test splits.

    On the CPU that trained it the results are those of training, to the last digit.

    Args:
        run: the run's folder or the checkpoint file in it.
        device: auto, cpu or cuda; as in training if None.

    Raises:
        UserError: there is no finished run, or its data no longer fits it.
    """
    folder = run_folder(run)
    if not (folder / RESULTS).is_file():
        raise UserError(f"{folder}: no {RESULTS} there, which holds its β; finish the training")
    config, saved = read_config(folder), read_results(folder)
    model = load(folder).to(resolve_device(device or config.device))
    clips, stage = clips_of(folder), STAGES[-1]
    split = score_split(model, clips, stage.seen, stage.unseen, config.batch_size)
    results = results_of(
        split, beta=saved.beta, epoch=saved.epoch, seed=saved.seed, seconds=saved.seconds
    )
    return Evaluation(results, saved, split, clips)


def row(evaluation: Evaluation, folder: Path) -> str:
    """One line of JSON: ``results.json`` as found now, ``run`` and ``changed``."""
    found = {"run": str(folder), **asdict(evaluation.results), "changed": evaluation.changed}
    return json.dumps(found)


def main(command: Command) -> int:
    """The command line; 0 when the run is scored."""
    folder = run_folder(command.run)
    if reproducible.possible() and read_config(folder).compute.reproducible:
        reproducible.restart()
        reproducible.begin()
    found = evaluate(command.run, command.device)
    write_tables(folder, found.split, found.clips.classes, found.results.beta)
    if command.json:
        print(row(found, folder))
    else:
        _show(found, folder, Console())
    for name in found.changed:
        now, before = getattr(found.results, name), getattr(found.saved, name)
        print(f"note: {name} is {now}, {RESULTS} says {before}", file=sys.stderr)
    return 0


def _show(found: Evaluation, folder: Path, console: Console) -> None:
    console.print(scores_table(found.results), "")
    console.print(kinds_table(found.split, found.results.beta), "")
    if found.results.firing_rates:
        console.print(rates_table(found.results), "")
    if not found.changed:
        console.print(f"equal to {RESULTS}, to the last digit")
    console.print(f"classes   {folder / PER_CLASS}\nconfusion {folder / CONFUSION}", soft_wrap=True)


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.evaluate")))
