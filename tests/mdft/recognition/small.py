"""A small dataset in N-MNIST's format, which tests write themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 34


def bin_bytes(x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> bytes:
    """N-MNIST's 40 bits an event: x, y, polarity and 23 bits of µs."""
    columns = x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255
    return np.stack([c.astype(np.uint8) for c in columns], axis=1).tobytes()


def recording(label: int, seed: int, events: int = 300) -> bytes:
    """Events of one class: in the left half for an even label, else in the right half."""
    random = np.random.default_rng(seed)
    x = random.integers(0, SIDE // 2, events) + (label % 2) * (SIDE // 2)
    y = random.integers(0, SIDE, events)
    t = np.sort(random.integers(0, 300_000, events))
    return bin_bytes(x, y, t, random.integers(0, 2, events))


def write_nmnist(root: Path, classes: int = 2, train: int = 8, test: int = 4) -> Path:
    """Write ROOT/NMNIST/Train and Test, a folder a class; return ROOT."""
    seed = 0
    for part, count in (("Train", train), ("Test", test)):
        for label in range(classes):
            folder = root / "NMNIST" / part / str(label)
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:05}.bin").write_bytes(recording(label, seed))
                seed += 1
    return root
