"""``python -m events.explain CLIP --pixel X Y``: a plot of why one pixel fires at its times.

The plot has the pixel's log intensity L (equation (4)), linear between frames; its memory, which
moves by whole steps of C (equation (5)); the two thresholds around the memory; and the events, each
where L reaches a threshold. The clip is decoded from its start, because the memory begins with the
first frame; only the requested interval is drawn.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from events.response import convention, log_table
from events.sensor import Sensor
from mdft.cli import exit_status, parse
from mdft.errors import UserError, reason

_PICTURES = (".png", ".svg", ".pdf")
_RED, _BLUE, _GREY, _INK = "#c81e2d", "#1955be", "#9a9a9a", "#303030"


@dataclass(frozen=True)
class Explain:
    """Draw one pixel's log intensity, thresholds and events.

    Attributes:
        clip: video file; a recording of events holds no intensities.
        pixel: column X and row Y, from the top left corner of the upright frame.
        out: file of the plot (.png, .svg, .pdf); by default CLIP_X_Y.png in this folder.
        begin: start of the plot, seconds into the clip.
        seconds: length of the plot, seconds.
        sensor: settings of the event camera.
    """

    clip: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    pixel: tuple[int, int]
    out: Path | None = None
    begin: float = 0.0
    seconds: float = 2.0
    sensor: Annotated[Sensor, tyro.conf.arg(name="")] = field(default_factory=Sensor)


@dataclass(frozen=True)
class Trace:
    """The signal, memory and events of one pixel.

    Attributes:
        times_us: times of the frames, (F,) int64 µs.
        luma: convention of the clip's bytes, as `events.convert` stores it.
        log: L at the frames, (F,) float64, nats.
        events: the pixel's events, (n,) of `EVENTS`, x = y = 0.
        moves: the steps of the memory, (m,) of `EVENTS`; the refractory period removes some of
            them from `events`.
        frame: the first frame of the plot, (H, W, 3) uint8.
    """

    times_us: NDArray[np.int64]
    luma: str
    log: NDArray[np.float64]
    events: NDArray[np.void]
    moves: NDArray[np.void]
    frame: NDArray[np.uint8]


def trace(config: Explain) -> Trace:
    """Compute one pixel's signal and events up to the end of the plot.

    Raises:
        UserError: the clip cannot be read, or has no such pixel or time.
    """
    # Imported here, so that --help and a mistyped flag do not import numba and PyAV.
    from events.generator import advance
    from events.video.clip import Clip

    if not (0 <= config.begin < 1e9 and 0 < config.seconds < 1e9):
        raise UserError(
            f"--begin {config.begin} --seconds {config.seconds}: expected a start of at least 0 "
            "and a length above 0"
        )
    begin_us, end_us = 1e6 * config.begin, 1e6 * (config.begin + config.seconds)
    if config.sensor.noise.some:
        raise UserError("--noise: the plot is of the ideal pixel, expected no noise")
    x, y = config.pixel
    times, seen, image = [], [], None
    with Clip(config.clip) as clip:
        luma = convention(config.sensor.luma, limited=clip.limited)
        if not (0 <= x < clip.width and 0 <= y < clip.height):
            raise UserError(
                f"--pixel {x} {y}: not in the frame, expected 0 to {clip.width - 1} and 0 to "
                f"{clip.height - 1}"
            )
        for frame in clip:
            times.append(frame.time_us)
            seen.append(frame.plane[y, x])
            if image is None and frame.time_us >= begin_us:
                image = frame.rgb()
            if frame.time_us >= end_us:
                break
    if image is None:
        raise UserError(f"--begin {config.begin}: the clip ends at {times[-1] / 1e6:.2f} s")
    stamps = np.array(times, dtype=np.int64)
    frames = np.array(seen, dtype=np.uint8).reshape(-1, 1, 1)
    sensor = replace(config.sensor, luma=luma)
    events, _ = advance(frames, stamps, None, sensor)
    moves, _ = advance(frames, stamps, None, replace(sensor, refractory_us=0))
    return Trace(stamps, luma, log_table(luma)[frames[:, 0, 0]], events, moves, image)


def memory(traced: Trace, sensor: Sensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixel's memory as a step function: (n+1,) start times in s, and values.

    L_mem starts at L of the first frame and moves at each crossing, up by C_on or down by C_off.
    """
    steps = np.where(traced.moves["p"], sensor.on, -sensor.off)
    times = np.concatenate([traced.times_us[:1], traced.moves["t"]]) / 1e6
    return times, traced.log[0] + np.concatenate([[0.0], np.cumsum(steps)])


def draw(traced: Trace, config: Explain) -> Any:
    """Draw the plot; return a matplotlib figure."""
    from matplotlib.figure import Figure  # slow to import, and needed only here
    from matplotlib.ticker import MultipleLocator

    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    scene, axes = figure.subplots(1, 2, width_ratios=[1, 2.6])
    scene.imshow(traced.frame)
    scene.plot(*config.pixel, "o", ms=11, mfc="none", mec="white", mew=3)
    scene.plot(*config.pixel, "o", ms=11, mfc="none", mec=_RED, mew=1.5)
    scene.set_axis_off()
    x, y = config.pixel
    scene.set_title(f"{config.clip.name}, {config.begin:.2f} s, pixel ({x}, {y})", fontsize=9)
    on_c, off_c, last = config.sensor.on, config.sensor.off, traced.times_us[-1] / 1e6
    end = max(min(config.begin + config.seconds, last), config.begin + 1e-3)
    times, level = memory(traced, config.sensor)
    edges = np.append(times, last)
    axes.stairs(level + on_c, edges, baseline=None, color=_RED, lw=0.9, label="ON threshold")
    axes.stairs(level, edges, baseline=None, color=_GREY, lw=1.4, label="memory")
    axes.stairs(level - off_c, edges, baseline=None, color=_BLUE, lw=0.9, label="OFF threshold")
    seconds = traced.times_us / 1e6
    axes.plot(seconds, traced.log, "-o", color=_INK, ms=3, lw=1, label="log intensity, frames")
    at, on = traced.events["t"] / 1e6, traced.events["p"]
    height = np.interp(at, seconds, traced.log)
    axes.plot(at[on], height[on], "^", color=_RED, ms=7, label="ON event")
    axes.plot(at[~on], height[~on], "v", color=_BLUE, ms=7, label="OFF event")
    shown = (at >= config.begin) & (at <= end)
    inside = traced.log[(seconds >= config.begin) & (seconds <= end)]
    # The plot may lie between two frames.
    inside = np.append(inside, np.interp([config.begin, end], seconds, traced.log))
    low, high = inside.min() - 2 * off_c, inside.max() + 2 * on_c
    axes.set(xlim=(config.begin, end), ylim=(low, high))
    axes.set(xlabel="time (s)", ylabel="log intensity L (nats)")
    count, on_count = np.count_nonzero(shown), np.count_nonzero(shown & on)
    title = f"C = {on_c:g} ON, {off_c:g} OFF, luma {traced.luma}"
    axes.set_title(f"{title}: {count} events ({on_count} ON) drawn", fontsize=9)
    if (high - low) / on_c < 60:
        axes.yaxis.set_minor_locator(MultipleLocator(on_c))
    axes.set_axisbelow(True)
    axes.grid(which="major", color="#eeeeee")
    axes.legend(fontsize=7, ncols=3, loc="best")
    return figure


def explain(config: Explain) -> tuple[Path, Trace]:
    """Trace, draw and write; return the path of the plot and the trace.

    Raises:
        UserError: see `trace`; or the plot cannot be written.
    """
    x, y = config.pixel
    out = config.out or Path(f"{config.clip.stem}_{x}_{y}.png")
    if out.suffix.lower() not in _PICTURES:
        raise UserError(
            f"--out: {out}: found {out.suffix!r}, expected one of {', '.join(_PICTURES)}"
        )
    if not out.parent.is_dir():
        raise UserError(f"--out: no folder {out.parent}; make it first")
    traced = trace(config)
    part = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        draw(traced, config).savefig(part)
        os.replace(part, out)
    except OSError as error:
        raise UserError(f"--out: {out} cannot be written ({reason(error)})") from error
    finally:
        part.unlink(missing_ok=True)
    return out, traced


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 after a one-line message about a mistake of the user."""

    def work() -> int:
        out, traced = explain(parse(Explain, "python -m events.explain", arguments))
        print(f"{out}: {len(traced.times_us)} frames, {len(traced.events)} events of the pixel")
        return 0

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
