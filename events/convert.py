"""``python -m events.convert CLIP OUT.h5 [--preview OUT.mp4]``: a video file becomes events."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from events.errors import UserError
from events.generator import PixelState, Sensor, advance
from events.io import EventWriter, Metadata
from events.preview import Preview
from events.video import Clip


@dataclass(frozen=True)
class Convert:
    """Turn a video file into the events an ideal event camera would have seen.

    Attributes:
        clip: video file (mp4, mkv, webm, avi, …).
        out: event file to write, HDF5.
        preview: film to write as well, MP4: RGB beside the events.
        threshold: contrast C in log intensity that makes an event.
        refractory_us: dead time of a pixel after an event, µs.
        luma: how pixel bytes become intensity; events.response explains the names.
    """

    clip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    preview: Path | None = None
    threshold: float = 0.2
    refractory_us: int = 0
    luma: Literal["full", "srgb", "log1p"] = "full"


@dataclass(frozen=True)
class Report:
    """What a conversion did: the file's metadata, ON and OFF events, wall seconds, remarks."""

    metadata: Metadata
    on: int
    off: int
    seconds: float
    remarks: tuple[str, ...]


def convert(config: Convert, progress: Progress) -> Report:
    """Convert one clip, frame by frame, in constant memory.

    Raises:
        UserError: the clip cannot be read or a target cannot be written; no target is left
            half-written.
    """
    _check_targets(config)
    sensor = Sensor(config.threshold, config.refractory_us, config.luma)
    began = time.perf_counter()
    with ExitStack() as stack:
        clip = stack.enter_context(Clip(config.clip))
        writer = stack.enter_context(EventWriter(config.out))
        film = None
        if config.preview is not None:
            film = Preview(config.preview, clip.width, clip.height, clip.fps, clip.duration_us)
            stack.enter_context(film)
        task = progress.add_task(config.clip.name, total=clip.duration_us or None, events=0)
        state: PixelState | None = None
        frames = on = last_us = 0
        for frame in clip:
            times = np.array([frame.time_us], dtype=np.int64)
            events, state = advance(frame.luma[None], times, state, sensor)
            writer.append(events)
            if film is not None:
                film.add(frame, events)
            frames, last_us, on = frames + 1, frame.time_us, on + int(events["p"].sum())
            progress.update(task, completed=last_us, events=writer.count)
        metadata = Metadata(
            sensor_size=(clip.width, clip.height, 2),
            threshold=sensor.threshold,
            refractory_us=sensor.refractory_us,
            luma=sensor.luma,
            source=config.clip.name,
            fps=clip.fps,
            frames=frames,
            duration_us=last_us,
        )
        if film is not None:
            film.close()
        writer.close(metadata)
    seconds = time.perf_counter() - began
    return Report(metadata, on, writer.count - on, seconds, _remarks(clip, last_us, film))


def _check_targets(config: Convert) -> None:
    """Refuse to write over the clip, or two files into one."""
    places = {"CLIP": config.clip, "OUT": config.out, "--preview": config.preview}
    seen: dict[Path, str] = {}
    for name, path in places.items():
        if path is None:
            continue
        if path.is_dir() and name != "CLIP":
            raise UserError(f"{name}: {path} is a folder, expected the name of a file to write")
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UserError(f"{name}: {path} is also {other}; give each its own name")


def _remarks(clip: Clip, last_us: int, film: Preview | None) -> tuple[str, ...]:
    """Say what was odd about the clip."""
    said = []
    if clip.reordered:
        said.append(f"{clip.reordered} time stamps were out of order and have been sorted")
    if clip.dropped:
        said.append(f"{clip.dropped} frames left out: their time stamp did not increase")
    if last_us < 0.9 * clip.duration_us - 1_000_000:
        said.append(
            f"the clip declares {clip.duration_us / 1e6:.1f} s but its frames end at "
            f"{last_us / 1e6:.1f} s: cut short?"
        )
    if film is not None and film.codec != "libx264":
        said.append(f"preview encoded as {film.codec}: this PyAV has no libx264")
    return tuple(said)


def summary(config: Convert, report: Report) -> Table:
    """Lay the report out for a person."""
    data, count = report.metadata, report.on + report.off
    length = data.duration_us / 1e6
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("clip", f"{data.source}: {data.frames} frames, {length:.2f} s")
    table.add_row("sensor", f"{data.sensor_size[0]} x {data.sensor_size[1]}, C = {data.threshold}")
    table.add_row("events", f"{count:,} ({report.on:,} ON, {report.off:,} OFF)")
    if length > 0:
        table.add_row("rate", f"{count / length / 1e6:.3f} million events per second of clip")
    speed = f", {length / report.seconds:.1f} x real time" if length > 0 else ""
    table.add_row(
        "took", f"{report.seconds:.2f} s{speed}, {count / report.seconds / 1e6:.2f} Mev/s"
    )
    table.add_row("events in", str(config.out))
    if config.preview is not None:
        table.add_row("preview in", str(config.preview))
    for remark in report.remarks:
        table.add_row("note", remark)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr when the user can mend it."""
    config = tyro.cli(Convert, prog="python -m events.convert", args=arguments)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[events]:,} events"),
    )
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
            report = convert(config, progress)
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted, nothing written", file=sys.stderr)
        return 130
    Console().print(summary(config, report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
