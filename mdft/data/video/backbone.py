"""The networks that turn a second of pictures and of sound into a vector each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Backbone:
    """What it wants of a clip, and what it makes of that.

    Attributes:
        frame_size: shorter side of the pictures, pixels.
        frames_per_second: P.
        sound_rate: samples a second.
        visual: (T·P, H, W, 3) uint8 RGB → (T, D_v) float32.
        audio: (T·rate,) float32 → (T, D_a) float32.
        note: what a user must know of it; empty if nothing.
    """

    frame_size: int
    frames_per_second: int
    sound_rate: int
    visual: Callable[[np.ndarray], np.ndarray]
    audio: Callable[[np.ndarray], np.ndarray]
    note: str = ""
