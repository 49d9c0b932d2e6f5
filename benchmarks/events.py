"""``python -m benchmarks.events [--quick]``: events against peers, decoding and the floor.

All candidates run in turn, several times (`benchmarks.processor_time`). CPU time is compared, so
that the number of threads of a peer does not matter.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.checkouts import clips_folder
from benchmarks.figures import write_figures
from benchmarks.matched import on_matched
from benchmarks.peers import peers
from benchmarks.processor_time import Work, measure
from events import frames_to_bins, frames_to_events
from events.reference import frames_to_events_reference
from events.response import convention
from events.video.clip import Clip


@dataclass(frozen=True)
class Config:
    """The settings of the benchmark.

    Attributes:
        quick: few rounds, only clips of at most 640 pixels width.
        clips: folder of clips; by default those of the shared data.
        figures: also write the ratios to this JSON file, for ``python -m benchmarks``.
    """

    quick: bool = False
    clips: Path | None = None
    figures: Path | None = None


def scene(frames: int = 300, height: int = 180, width: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Return a drifting texture and three discs at 30 frames per second: (F,H,W) uint8, (F,) µs."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = rng.uniform(-0.25, 0.25, (12, 2))
    phases = rng.uniform(0, 2 * np.pi, 12)
    out = np.empty((frames, height, width), dtype=np.uint8)
    for f in range(frames):
        shift = 0.15 * f
        angles = waves[:, 0, None, None] * (x + shift) + waves[:, 1, None, None] * (y + 0.4 * shift)
        picture = 110 + 22 * np.cos(angles + phases[:, None, None]).sum(axis=0)
        for disc in range(3):
            cx = (40 + 70 * disc + (1.5 + disc) * f) % width
            cy = height * (0.5 + 0.35 * np.sin(0.03 * f + 2 * disc))
            picture = np.where((x - cx) ** 2 + (y - cy) ** 2 < 18**2, 40 + 90 * disc, picture)
        out[f] = picture.clip(5, 250)
    return out, np.arange(frames, dtype=np.int64) * 33_333


def bandwidth() -> float:
    """Return the bytes per second, read plus written, of a copy in memory by one thread."""
    source = np.ones(1 << 28, dtype=np.uint8)
    target = np.empty_like(source)
    copies = measure({"copy": lambda: np.copyto(target, source)}, 5)
    return 2 * source.size / copies["copy"].wall


def ours(
    frames: np.ndarray, times: np.ndarray, seconds: int, luma: str = "full"
) -> dict[str, Work]:
    """Return our functions from frames to events and to E_v."""
    cores = os.cpu_count() or 1
    events = partial(frames_to_events, frames, times, luma=luma)
    return {
        "events": events,
        f"events, {cores} threads": partial(events, threads=cores),
        "E_v, no list": partial(frames_to_bins, frames, times, seconds=seconds, luma=luma),
    }


def on_scene(config: Config, console: Console) -> dict[str, float]:
    """Print our times, the reference's, the peers' and the floor, for the rendered scene.

    Returns:
        CPU time of each over that of our events; of peers, where they are installed.
    """
    frames, times = scene()
    found = len(frames_to_events(frames, times))
    here, absent = peers(frames, times)
    works = ours(frames, times, 10) | {name: peer.work for name, peer in here.items()}
    works["NumPy reference"] = lambda: frames_to_events_reference(frames, times)
    taken = measure(works, 3 if config.quick else 11)
    counts = {name: peer.count() for name, peer in here.items()}
    rate = bandwidth()
    floor = (frames.size + 13 * found) / rate
    table = Table(title=f"scene: {frames.shape}, {found:,} events, C = 0.2", title_justify="left")
    for column in ("", "CPU ms", "wall ms", "Mev/s a core", "Mpx/s a core", "CPU / ours"):
        table.add_column(column, justify="left" if not column else "right")
    base = taken["events"].cpu
    for name, t in taken.items():
        row = (counts.get(name, found) / t.cpu / 1e6, frames.size / t.cpu / 1e6, t.cpu / base)
        cells = f"{row[0]:.1f}", f"{row[1]:.0f}", f"{row[2]:.2f}"
        table.add_row(name, f"{1e3 * t.cpu:.1f}", f"{1e3 * t.wall:.1f}", *cells)
    table.add_row("floor", f"{1e3 * floor:.1f}", "", "", "", f"{floor / base:.2f}")
    console.print(table)
    console.print(f"floor: bytes of frames and records over {rate / 1e9:.1f} GB/s of a copy")
    for name, count in counts.items():
        console.print(f"{name}: {count:,} events")
    for name, reason in absent.items():
        console.print(f"{name}: left out, {reason}")
    figures = {f"{n} / ours, a clip": t.cpu / base for n, t in taken.items() if n != "events"}
    return figures | on_matched(frames, times, 3 if config.quick else 11, console)


def on_clips(config: Config, console: Console) -> dict[str, float]:
    """Print and return, for each clip, the time for its events relative to its decoding."""
    folder = config.clips or clips_folder()
    if not folder.is_dir():
        console.print(f"clips: left out, no folder {folder.name} (--clips)")
        return {}
    figures: dict[str, float] = {}
    table = Table(title="clips: CPU ms, all threads of the process", title_justify="left")
    head = ("clip", "frames", "size", "events", "decode", "events", "E_v", "Mev/s", "× real time")
    for column in (*head, "events / decode", "of least", "E_v / decode", "wall, all threads"):
        left = column == "clip"
        table.add_column(column, justify="left" if left else "right", no_wrap=left)
    for path in sorted(folder.iterdir()):
        with Clip(path) as clip:
            if config.quick and clip.width > 640:
                continue
        frames, times, luma = decode(path)
        found = len(frames_to_events(frames, times, luma=luma))
        seconds = int(times[-1] // 1_000_000) + 1
        works = {"decode": lambda path=path: decode(path)} | ours(frames, times, seconds, luma)
        taken = measure(works, 1 if config.quick else 5)
        dec, one, every, bins = taken.values()
        figures[f"events / decoding, {path.name}"] = one.cpu / dec.cpu
        figures[f"E_v / decoding, {path.name}"] = bins.cpu / dec.cpu
        cells = (f"{1e3 * t.cpu:.0f}" for t in (dec, one, bins))
        table.add_row(
            path.name, str(len(frames)), f"{frames.shape[2]}×{frames.shape[1]}", f"{found:,}",
            *cells, f"{found / one.cpu / 1e6:.1f}", f"{times[-1] / 1e6 / one.wall:.0f}",
            f"{one.cpu / dec.cpu:.2f}", f"{one.least / dec.least:.2f}",
            f"{bins.cpu / dec.cpu:.2f}", f"{every.wall / dec.wall:.2f}",
        )  # fmt: skip
    console.print(table)
    return figures


def decode(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a clip's planes (F,H,W) uint8, times (F,) µs and the luma convention."""
    with Clip(path) as clip:
        frames = [(frame.plane, frame.time_us) for frame in clip]
        luma = convention("full", limited=clip.limited)
    times = np.array([t for _, t in frames], dtype=np.int64)
    return np.stack([f for f, _ in frames]), times, luma


def main() -> None:
    """Print the tables."""
    config = tyro.cli(Config, prog="python -m benchmarks.events")
    console = Console(width=170)
    write_figures(config.figures, on_scene(config, console) | on_clips(config, console))


if __name__ == "__main__":
    main()
