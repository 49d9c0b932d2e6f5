"""Curves under a preview: event rate and sound, one column of pixels per slice of time.

The time axis is the declared duration; if a clip declares none or is longer, the curve starts again
at the left as on an oscilloscope, so that memory stays constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.video.sound import Sound

ON, OFF = (200, 30, 45), (25, 85, 190)
INK = (60, 60, 60)
_WAVE = (110, 110, 110)
SWEEP_US = 10_000_000


class RateStrip:
    """The ON and OFF events per second over the clip."""

    def __init__(self, width: int, height: int, duration_us: int) -> None:
        self.width, self.height, self.span = width, height, duration_us or SWEEP_US
        self.rates = np.zeros((2, width))  # OFF, ON
        self.now = 0

    def add(self, begin_us: int, end_us: int, events: NDArray[np.void]) -> None:
        """Add the events of one interval between frames."""
        first, last = (int(t * self.width / self.span) for t in (begin_us, end_us))
        columns = np.arange(first, max(last, first + 1))[-self.width :] % self.width
        on = int(np.count_nonzero(events["p"]))
        per_second = 1e6 / (end_us - begin_us)
        self.rates[:, columns] = np.array([[len(events) - on], [on]]) * per_second
        self.now = int(columns[-1])

    def image(self) -> NDArray[np.uint8]:
        """Draw the curve, (height, width, 3) uint8: ON upwards in red, OFF downwards in blue."""
        middle = self.height // 2
        peak = max(float(self.rates.max()), 1.0)
        bars = np.rint(self.rates / peak * (middle - 4))
        above = middle - np.arange(self.height)[:, None]
        image = np.full((self.height, self.width, 3), 255, dtype=np.uint8)
        image[(above > 0) & (above <= bars[1])] = ON
        image[(above < 0) & (above >= -bars[0])] = OFF
        image[middle] = INK
        image[2:-2, self.now] = INK
        return image

    def label(self) -> str:
        """Return the label with the value of the highest bar."""
        return f"events, peak {self.rates.max() / 1e6:.2f} Mev/s per polarity"


class WaveStrip:
    """The clip's sound: the range of its samples in each slice of time."""

    def __init__(self, width: int, height: int, duration_us: int, rate: int) -> None:
        self.width, self.height, self.rate = width, height, rate
        self.span = duration_us or SWEEP_US
        self.low, self.high = np.zeros(width), np.zeros(width)
        self._newest = -1  # slice of time, counted without wrapping

    def add(self, sound: Sound) -> None:
        """Add a segment of sound."""
        if not len(sound.samples):
            return
        at = sound.start + np.arange(len(sound.samples), dtype=np.int64)
        slices = at * 1_000_000 // self.rate * self.width // self.span
        begins = np.flatnonzero(np.diff(slices, prepend=slices[0] - 1))[-self.width :]
        low = np.minimum.reduceat(sound.samples, begins)
        high = np.maximum.reduceat(sound.samples, begins)
        columns = slices[begins] % self.width
        if slices[begins[0]] == self._newest:  # this slice began in the previous segment
            low[0] = min(low[0], self.low[columns[0]])
            high[0] = max(high[0], self.high[columns[0]])
        self.low[columns], self.high[columns] = low, high
        self._newest = int(slices[-1])

    def image(self, now: int) -> NDArray[np.uint8]:
        """Draw the curve, (height, width, 3) uint8, with the time mark at column `now`."""
        middle = self.height // 2
        scale = (middle - 3) / max(self.peak, 1e-3)
        above = middle - np.arange(self.height)[:, None]
        image = np.full((self.height, self.width, 3), 255, dtype=np.uint8)
        image[(above >= np.rint(self.low * scale)) & (above <= np.rint(self.high * scale))] = _WAVE
        image[2:-2, now] = INK
        return image

    @property
    def peak(self) -> float:
        """The largest magnitude of the displayed samples; full scale is 1."""
        return float(max(self.high.max(), -self.low.min()))

    def label(self) -> str:
        """Return the label with the value of the highest point."""
        return f"sound, peak {self.peak:.2f} of full scale"
