"""Terminal output of a run: progress bars, estimates of time and tables of scores."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mdft.gzsl import Scores
from mdft.model.health import HEALTHY
from mdft.runs.folder import Results


class TrainingScreen:
    """Progress bars of both stages on a terminal; one line per epoch when piped.

    Args:
        console: the console to print to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TrainingScreen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        """Display one record of :func:`mdft.training.run.fit`."""
        if "step" in record:
            task = self._task(record["stage"], record["epochs"] * record["steps"])
            self.bars.update(task, completed=record["epoch"] * record["steps"] + record["step"])
        elif "epoch" in record:
            self._epoch(record)
        elif "note" in record:
            self.console.print(record["note"], soft_wrap=True, highlight=False, markup=False)
        elif "warning" in record:
            self.console.print(f"[yellow]warning[/] {escape(record['warning'])}", highlight=False)

    def _epoch(self, record: dict[str, Any]) -> None:
        loss = record["loss"]  # empty of a system without training steps
        note = f"loss {loss['total']:.3f}" if loss else "no training steps"
        if "val" in record:
            note += f", validation HM {100 * record['val']['hm']:.1f} %"
        rates = record["firing_rates"].values()
        if rates:
            note += f", firing {100 * min(rates):.0f} to {100 * max(rates):.0f} %"
        if record["stage"] in self.tasks:
            self.bars.update(self.tasks[record["stage"]], note=note)
        if not self.console.is_terminal:
            self.console.print(f"{record['stage']} epoch {record['epoch'] + 1}: {note}")

    def _task(self, stage: str, total: int) -> TaskID:
        if stage not in self.tasks:
            self.bars.start()  # not earlier: loading the data has its own bar
            title = {"stage_1": "choosing epoch and β", "stage_2": "training for the test"}[stage]
            self.tasks[stage] = self.bars.add_task(
                f"{title:<21}", total=total, unit="steps", note=""
            )
        return self.tasks[stage]


def scores_table(results: Results, untrained: Scores | None = None) -> Table:
    """S, U, HM and ZSL in per cent, with chance level.

    Args:
        results: the scores.
        untrained: scores of labels without training, on the same clips.
    """
    chance = 1 / results.candidates
    rows = (
        ("S", "seen classes", results.seen, chance),
        ("U", "unseen classes", results.unseen, chance),
        ("HM", "harmonic mean of the two", results.hm, chance),
        ("ZSL", "unseen classes among themselves", results.zsl, 1 / results.candidates_unseen),
    )
    table = Table(title="Zero-shot test, mean per-class recall", title_justify="left")
    table.add_column("score", style="bold")
    table.add_column("over")
    table.add_column("%", justify="right", style="bold green")
    table.add_column("chance %", justify="right", style="dim")
    others: tuple[float, ...] = ()
    if untrained is not None:
        table.add_column("without training %", justify="right")
        others = (untrained.seen, untrained.unseen, untrained.hm, untrained.zsl)
    for i, (name, over, value, guess) in enumerate(rows):
        other = [f"{100 * share:.1f}" for share in others[i : i + 1]]
        table.add_row(name, over, f"{100 * value:.1f}", f"{100 * guess:.1f}", *other)
    return table


def rates_table(results: Results) -> Table:
    """Firing rate of every spiking layer on the test clips, in per cent of neuron-steps.

    A layer whose rate is outside ``HEALTHY`` is marked, since a silent or saturated layer carries
    little information. Each cell includes the number of neurons that never fired.
    """
    low, high = (f"{100 * rate:.0f}" for rate in HEALTHY)
    table = Table(title=f"Firing rate (healthy: {low} to {high} %)", title_justify="left")
    table.add_column("pathway", style="bold")
    layers = sorted({name.split(".")[1] for name in results.firing_rates})
    for layer in layers:
        table.add_column(f"{layer} %", justify="right")
    for pathway in sorted({name.split(".")[0] for name in results.firing_rates}):
        names = [f"{pathway}.{layer}" for layer in layers]
        rates = (_rate(results.firing_rates[name], results.dead_neurons[name]) for name in names)
        table.add_row(pathway, *rates)
    return table


def _rate(value: float, dead: int) -> str:
    low, high = HEALTHY
    text = f"{100 * value:.1f}" + (f", {dead} dead" if dead else "")
    return text if low <= value <= high else f"[yellow]{text} !"
