"""Terminal output of a sweep: a live table, or one line per finished run when piped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mdft.data.stages import STAGES
from mdft.experiments.worker import Job
from mdft.runs.folder import Results

_REFRESH_S = 0.25


@dataclass
class Track:
    """A run in progress.

    Attributes:
        job: the run.
        began: start time on the monotonic clock.
        at: stage and epoch, as text.
        hm: best validation HM so far; None before the first epoch ends.
        share: finished share of the run, 0 to 1; each stage counts as half of it.
        share_before: share that was already finished when the run was resumed.
    """

    job: Job
    began: float
    at: str = "starting"
    hm: float | None = None
    share: float = 0.0
    share_before: float | None = None

    def follow(self, record: dict[str, Any]) -> None:
        """Update from one record of :class:`mdft.training.trainer.Trainer`."""
        if "step" in record:
            stages = [stage.name for stage in STAGES]
            stage = stages.index(record["stage"])
            epochs = record["epoch"] + record["step"] / record["steps"]
            self.share = (stage + epochs / record["epochs"]) / len(stages)
            if self.share_before is None:
                self.share_before = self.share
            self.at = (
                f"stage {stage + 1} of {len(stages)}, "
                f"epoch {record['epoch'] + 1} of {record['epochs']}"
            )
        elif "val" in record:
            self.hm = max(self.hm or 0.0, record["val"]["hm"])


class SweepScreen:
    """Displays the progress of a sweep.

    Args:
        console: the console to print to.
        total: number of runs.
        reused: number of runs that were already finished.
    """

    def __init__(self, console: Console, total: int, reused: int) -> None:
        self.console, self.total, self.reused = console, total, reused
        self.tracks: dict[str, Track] = {}
        self.done = self.bad = 0
        self.work = 0.0  # work of this call, in runs
        self.began = self.drawn = time.monotonic()
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> SweepScreen:
        if self.reused:
            self._print(f"{self.reused} of {self.total} runs are already finished")
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def started(self, job: Job) -> None:
        """Add a run that has started."""
        self.tracks[str(job)] = Track(job, time.monotonic())

    def record(self, job: Job, record: dict[str, Any]) -> None:
        """Update a run from a record."""
        self.tracks[str(job)].follow(record)

    def finished(self, job: Job, results: Results) -> None:
        """Remove a run that has finished, and print its scores."""
        self.done += 1
        took = _clock(self._remove(job))
        self._print(
            f"{job}: HM {100 * results.hm:.1f} %, ZSL {100 * results.zsl:.1f} %, {took} "
            f"({self._count()})"
        )

    def failed(self, job: Job, error: str) -> None:
        """Remove a run that has failed, and print its error."""
        self.bad += 1
        self._remove(job)
        self._print(f"{job}: failed: {error} ({self._count()})")

    def show(self) -> None:
        """Redraw the table on a terminal, at most once per refresh interval."""
        if self.live.is_started and time.monotonic() - self.drawn > _REFRESH_S:
            self.drawn = time.monotonic()
            self.live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """Table of the runs in progress, with the estimated remaining time of the sweep."""
        now = time.monotonic()
        table = Table(title=self._title(now), title_justify="left")
        table.add_column("row", style="bold")
        table.add_column("seed", justify="right")
        table.add_column("at", min_width=32)
        table.add_column("validation HM %", justify="right", style="green")
        table.add_column("elapsed", justify="right", style="dim")
        for track in self.tracks.values():
            hm = "" if track.hm is None else f"{100 * track.hm:.1f}"
            seed, elapsed = str(track.job.config.seed), _clock(now - track.began)
            table.add_row(track.job.row, seed, track.at, hm, elapsed)
        return table

    def remaining(self, now: float) -> float | None:
        """Estimated remaining seconds of the sweep; None if too little work is done to estimate.

        Args:
            now: time on the monotonic clock.
        """
        under_way = sum(t.share - (t.share_before or 0.0) for t in self.tracks.values())
        work = self.work + under_way
        left = self.total - self.reused - self.done - self.bad
        left -= sum(track.share for track in self.tracks.values())
        return (now - self.began) * left / work if work > 0.02 else None

    def _title(self, now: float) -> str:
        left = self.remaining(now)
        estimate = "" if left is None else f", about {_clock(left)} left"
        return f"{self._count()}, {_clock(now - self.began)} elapsed{estimate}"

    def _count(self) -> str:
        bad = f", {self.bad} failed" if self.bad else ""
        return f"{self.reused + self.done} of {self.total} runs done{bad}"

    def _remove(self, job: Job) -> float:
        """Remove a run that has ended; return its seconds in this call."""
        track = self.tracks.pop(str(job))
        self.work += 1.0 - (track.share_before or 0.0)
        return time.monotonic() - track.began

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
