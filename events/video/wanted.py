"""What is read from a clip, and the result: free of PyAV and numba.

The process that asks for a clip needs only these; the decoder and the compiled event generator are
imported by the process that reads it (`events.video.isolated`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Wanted:
    """What to read from a clip.

    Attributes:
        path: path of the video file.
        frame_size: shorter side of the sampled frames in pixels; the aspect ratio is kept.
        frames_per_second: sampled frames per second.
        sound_rate: audio samples per second.
        event_size: shorter side, in pixels, of the frames from which events are generated.
        bins_per_second: K, event bins per second.
        threshold: contrast threshold C of an event.
        max_seconds: the clip is cut after this many seconds.
        strict: refuse a clip of which any frame is lost or damaged.
    """

    path: str
    frame_size: int = 64
    frames_per_second: int = 4
    sound_rate: int = 8000
    event_size: int = 64
    bins_per_second: int = 8
    threshold: float = 0.2
    max_seconds: int = 60
    strict: bool = False


@dataclass(frozen=True)
class Footage:
    """A clip of T seconds.

    Attributes:
        frames: (T·frames_per_second, H, W, 3) uint8 RGB, upright, sampled at a fixed rate.
        sound: (T·sound_rate,) float32, full scale ±1.
        bins: E_v, (T, K, 512) uint8 in sixteenths, see `events.pool`.
        fps: nominal frame rate, 0 if the file declares none.
        remarks: irregularities of the file, one line each.
    """

    frames: NDArray[np.uint8]
    sound: NDArray[np.float32]
    bins: NDArray[np.uint8]
    fps: float
    remarks: tuple[str, ...]

    @property
    def seconds(self) -> int:
        """T."""
        return len(self.bins)
