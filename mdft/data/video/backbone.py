"""The networks that turn each second of frames and of sound into a feature vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Backbone:
    """A pair of feature extractors, and the input that they need.

    Attributes:
        frame_size: shorter side of the frames in pixels.
        frames_per_second: frames per second, P.
        sound_rate: audio samples per second.
        visual: (T·P, H, W, 3) uint8 RGB → (T, D_v) float32.
        audio: (T·rate,) float32 → (T, D_a) float32.
        note: message to the user, such as a warning about random weights; empty if none.
    """

    frame_size: int
    frames_per_second: int
    sound_rate: int
    visual: Callable[[np.ndarray], np.ndarray]
    audio: Callable[[np.ndarray], np.ndarray]
    note: str = ""
