"""The conversion of one file: video into events, or events of one format into another."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from events.files.io import EventWriter, check_size, has_event_ending, read_sized, write_events
from events.files.metadata import Metadata
from events.generator import advance
from events.preview.preview import SOUND_RATE, Preview
from events.response import convention
from events.sensor import Sensor
from events.state import PixelState
from events.video.clip import Clip
from events.video.remarks import remarks_of
from mdft.errors import UserError

#: A callback with the µs of the clip done, the declared µs (0 = unknown) and the events so far.
Watcher = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Job:
    """One conversion; picklable.

    Attributes:
        source: video file, or event file of another format.
        out: event file to write.
        sensor: the generator's settings, for videos.
        preview: preview video to write as well, or None.
        strict: refuse a clip of which any frame is lost or damaged.
        sensor_size: width and height, for event files that do not declare them.
    """

    source: Path
    out: Path
    sensor: Sensor
    preview: Path | None = None
    strict: bool = False
    sensor_size: tuple[int, int] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in its log entry, for JSON."""
        # Without the flag, files that were made before it existed count as done.
        return {"sensor": asdict(self.sensor)} | ({"strict": True} if self.strict else {})


@dataclass(frozen=True)
class Report:
    """The result of a conversion: metadata, numbers of ON and OFF events, wall seconds, remarks."""

    metadata: Metadata
    on: int
    off: int
    seconds: float
    remarks: tuple[str, ...]


def convert(job: Job, watch: Watcher = lambda done, total, events: None) -> Report:
    """Convert one file; a clip is processed frame by frame, in constant memory.

    Raises:
        UserError: the source cannot be read or a target cannot be written; incomplete targets
            are removed.
    """
    check_targets(job)
    if has_event_ending(job.source):
        return _rewrite(job)
    if job.sensor_size is not None:
        raise UserError(
            f"--sensor-size: {job.source} is a video, which has a size; expected an event file"
        )
    began = time.perf_counter()
    with ExitStack() as stack:
        sound_rate = SOUND_RATE if job.preview else None
        clip = stack.enter_context(Clip(job.source, sound_rate, strict=job.strict))
        check_size(job.out, job.source.name, clip.width, clip.height)  # before all is decoded
        writer = stack.enter_context(EventWriter(job.out))
        film = stack.enter_context(Preview(job.preview, clip)) if job.preview else None
        luma = convention(job.sensor.luma, limited=clip.limited)
        sensor = replace(job.sensor, luma=luma)
        state: PixelState | None = None
        frames = on = last_us = 0
        for frame in clip:
            times = np.array([frame.time_us], dtype=np.int64)
            events, state = advance(frame.plane[None], times, state, sensor)
            writer.append(events)
            if film is not None:
                film.add(frame, events)
            frames, last_us, on = frames + 1, frame.time_us, on + int(events["p"].sum())
            watch(last_us, clip.duration_us, writer.count)
        metadata = Metadata(
            sensor_size=(clip.width, clip.height, 2),
            source=job.source.name,
            sensor=sensor,
            fps=clip.fps,
            frames=frames,
            duration_us=last_us,
        )
        # What can fail comes before either file has its name.
        writer.finish(metadata)
        if film is not None:
            film.close()
        writer.publish()
    seconds = time.perf_counter() - began
    preview = () if film is None else _preview_remarks(clip, film)
    return Report(metadata, on, writer.count - on, seconds, (*remarks_of(clip, last_us), *preview))


def _rewrite(job: Job) -> Report:
    """Convert an event file into another format; the events stay the same."""
    if job.preview is not None:
        raise UserError(f"--preview: {job.source} is an event file, expected a video")
    began = time.perf_counter()
    events, metadata, known = read_sized(job.source, job.sensor_size)
    width, height, _ = metadata.sensor_size
    if job.sensor_size not in (None, (width, height)):
        raise UserError(
            f"--sensor-size: {job.source} declares {width}x{height}, found "
            f"{job.sensor_size[0]}x{job.sensor_size[1]}; leave it out"
        )
    write_events(job.out, events, metadata)
    on = int(events["p"].sum())
    remarks = ["events were copied; the generator's settings were not used"]
    if not known:
        remarks.append(
            f"sensor size not in the file: {width}x{height}, the smallest that holds the events; "
            "--sensor-size gives another one"
        )
    return Report(metadata, on, len(events) - on, time.perf_counter() - began, tuple(remarks))


def check_targets(job: Job) -> None:
    """Check that source and targets are different files.

    Raises:
        UserError: two are the same, or a target is a folder; the message has the argument.
    """
    seen: dict[Path, str] = {}
    for name, path in (("IN", job.source), ("OUT", job.out), ("--preview", job.preview)):
        if path is None:
            continue
        if path.is_dir() and name != "IN":
            raise UserError(f"{name}: {path} is a folder, expected the name of a file to write")
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UserError(f"{name}: {path} is also {other}; give each its own name")


def _preview_remarks(clip: Clip, film: Preview) -> tuple[str, ...]:
    """Return remarks about the sound and the encoding of a preview."""
    remarks = {
        "no sound in the file: no waveform in the preview": not clip.sounds,
        "preview encoded as mpeg4: this PyAV has no libx264": film.film.codec == "mpeg4",
    }
    return tuple(text for text, applies in remarks.items() if applies)
