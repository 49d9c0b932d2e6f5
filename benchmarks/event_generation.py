"""``python -m benchmarks.event_generation [CLIP]``: events from frames, over NumPy and decoding."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.timing import medians, show
from events import frames_to_events
from events.reference import frames_to_events_reference
from events.video import Clip


def moving_texture(frames: int = 100, height: int = 180, width: int = 240) -> np.ndarray:
    """A texture that drifts by a pixel a frame: (F,H,W) uint8."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 236, (height // 4 + 2, (width + frames) // 4 + 2))
    scene = np.kron(coarse, np.ones((4, 4)))[:height]
    return np.stack([scene[:, f : f + width] for f in range(frames)]).astype(np.uint8)


def main() -> None:
    """Print the table; with a clip also the ratio to decoding it."""
    frames = moving_texture()
    times_us = np.arange(len(frames), dtype=np.int64) * 40_000
    works = {
        "numba": lambda: frames_to_events(frames, times_us),
        "NumPy reference": lambda: frames_to_events_reference(frames, times_us),
    }
    seconds = medians(works, rounds=3)
    show("events from 100 frames of 240×180", {"moving texture": seconds}, "NumPy reference")
    events = len(frames_to_events(frames, times_us))
    rates = frames.size / 1e6 / seconds["numba"], events / 1e6 / seconds["numba"]
    print(f"numba: {rates[0]:.0f} Mpx/s, {rates[1]:.1f} million events a second")
    if len(sys.argv) > 1:
        with_clip(Path(sys.argv[1]))


def with_clip(path: Path) -> None:
    """Print the time of its events beside that of decoding it."""

    def decode() -> tuple[np.ndarray, np.ndarray]:
        with Clip(path) as clip:
            frames = [(frame.luma, frame.time_us) for frame in clip]
        return np.stack([f for f, _ in frames]), np.array([t for _, t in frames])

    frames, times_us = decode()
    works = {"events": lambda: frames_to_events(frames, times_us), "decoding": decode}
    show("a real clip", {path.name: medians(works, rounds=3)}, "decoding")


if __name__ == "__main__":
    main()
