"""A user's folder of clips, small: four classes of three."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdft.data.rendered.mp4 import write_clip

CLASSES = ("archery", "cello playing", "Ice, skating", "knitting")


def write_own(folder: Path) -> Path:
    """One second each, a square that moves another way in every class, and a tone."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            frames = rng.integers(40, 48, (8, 16, 16, 3)).astype(np.uint8)
            for t, frame in enumerate(frames):
                x, y = (t * (c % 2) + i) % 10, (t * (c // 2) + i) % 10
                frame[y : y + 6, x : x + 6] = 200
            sound = 0.3 * np.sin(np.arange(8000) * 0.05 * (c + 1)).astype(np.float32)
            write_clip(folder / name / f"{i}.mp4", frames, sound, 8, 8000, zoom=2)
    return folder
