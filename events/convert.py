"""``python -m events.convert IN OUT [--preview OUT.mp4]``: convert videos to events.

IN is a video file and OUT an event file, whose ending determines the format (`events.files.io`);
or both are folders, and every clip under IN gets a file under OUT (`events.folder`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from events.sensor import Sensor
from mdft.cli import exit_status, parse
from mdft.errors import UserError

if TYPE_CHECKING:
    from events.folder import Outcome
    from events.job import Job, Report


@dataclass(frozen=True)
class Convert:
    """Turn videos into the events an event camera would have seen.

    Attributes:
        source: video file (mp4, mkv, webm, avi, …), event file to rewrite, or folder of videos.
        out: event file (.h5, .npz, .aedat4, .raw, .dat), or folder if IN is one.
        preview: also write this video, .mp4 or .gif: RGB beside the events, rate and sound.
        sensor: settings of the event camera.
        format: ending of the event files, if IN is a folder.
        jobs: number of clips at a time, if IN is a folder; −1 is one per core.
        engine: joblib backend, if IN is a folder: loky (processes), threading, sequential, or
            the dask cluster at dask://HOST:PORT, whose workers must see the same folders.
        sensor_size: width and height of the sensor, if IN is an event file that does not declare
            them; default: the smallest size that holds the events.
        strict: refuse a clip with frames that cannot be decoded; otherwise they are skipped and
            counted, unless they are more than half.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    preview: Path | None = None
    sensor: Annotated[Sensor, tyro.conf.arg(name="")] = field(default_factory=Sensor)
    format: Literal["h5", "npz", "aedat4", "raw", "dat"] = "h5"
    jobs: int = -1
    engine: str = "loky"
    sensor_size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="W H")] = None
    strict: bool = False


def _progress(*last: ProgressColumn) -> Progress:
    """Make a progress bar on stderr; it is hidden if stderr is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty()
    return Progress(*columns, TimeRemainingColumn(), *last, console=console, disable=hidden)


def one(config: Convert) -> int:
    """Convert one file and print a summary.

    Raises:
        UserError: see `events.job.convert`.
    """
    # Imported here and below, so that --help and a mistyped flag do not import numba and PyAV.
    from events.job import Job, convert

    job = Job(
        config.source,
        config.out,
        config.sensor,
        config.preview,
        config.strict,
        config.sensor_size,
    )
    with _progress(TextColumn("{task.fields[events]:,} events")) as progress:
        task = progress.add_task(escape(config.source.name), total=None, events=0)
        report = convert(
            job,
            lambda done, total, events: progress.update(
                task, completed=done, total=total or None, events=events
            ),
        )
    Console().print(summary(job, report))
    return 0


def many(config: Convert) -> int:
    """Convert a folder; return 1 if a clip failed, else 0.

    Raises:
        UserError: the conversion could not be started.
    """
    if config.preview is not None:
        raise UserError("--preview: found a folder, expected a single clip")
    if config.sensor_size is not None:
        raise UserError("--sensor-size: found a folder, expected a single event file")
    from events.folder import LOG, convert_folder, plan, unfinished

    jobs, listing = plan(
        config.source, config.out, config.format, config.sensor, strict=config.strict
    )
    todo = unfinished(jobs, config.out)
    with _progress(MofNCompleteColumn()) as progress:
        task = progress.add_task("clips", total=len(todo))

        def ended(outcome: Outcome) -> None:
            progress.advance(task)
            if outcome.error:
                progress.console.print(
                    f"error: {outcome.error}", soft_wrap=True, highlight=False, markup=False
                )

        outcomes = convert_folder(todo, config.out, config.engine, config.jobs, ended)
    done = [outcome.report for outcome in outcomes if outcome.report is not None]
    failed = len(outcomes) - len(done)
    noted = sum(bool(report.remarks) for report in done)
    notes = f"; notes on {noted} of them in {LOG}" if noted else ""
    events = sum(report.on + report.off for report in done)
    print(
        f"{len(done)} clips converted into {config.out}, {events:,} events; "
        f"{len(jobs) - len(todo)} done before; {failed} failed{notes}"
    )
    if listing.passed_over:
        print(listing.note())
    return 1 if failed else 0


def summary(job: Job, report: Report) -> Table:
    """Return the report as a table."""
    data, count = report.metadata, report.on + report.off
    length = data.duration_us / 1e6
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    kind = f"{data.frames} frames" if data.frames else "a recording"
    table.add_row("clip", escape(f"{data.source}: {kind}, {length:.2f} s"))
    made = "settings not in the file" if data.sensor is None else f"C = {data.sensor.threshold}"
    table.add_row("sensor", f"{data.sensor_size[0]} x {data.sensor_size[1]}, {made}")
    table.add_row("events", f"{count:,} ({report.on:,} ON, {report.off:,} OFF)")
    if length > 0:
        table.add_row("rate", f"{count / length / 1e6:.3f} million events per second of clip")
    speed = f", {length / report.seconds:.1f} x real time" if length > 0 else ""
    table.add_row(
        "took", f"{report.seconds:.2f} s{speed}, {count / report.seconds / 1e6:.2f} Mev/s"
    )
    table.add_row("events in", escape(str(job.out)))
    if job.preview is not None:
        table.add_row("preview in", escape(str(job.preview)))
    for remark in report.remarks:
        table.add_row("note", escape(remark))
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if clips of a folder failed; 2 after a one-line message on stderr about a
        mistake of the user.
    """

    def work() -> int:
        config = parse(Convert, "python -m events.convert", arguments)
        return many(config) if config.source.is_dir() else one(config)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
