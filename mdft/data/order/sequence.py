"""What happens in a clip of the benchmark of order, and when.

A clip is one cycle. All times are shares of it; 0 is the middle of the motion. The motion is three
pairs of strokes of unequal durations. A stroke moves the object out of its place of rest and back,
with velocity 0 at both ends. The attributes of order choose the order of strokes and rests and
nothing else. Reversing the time exchanges the values of direction, tempo and timing.

The object rests between any two strokes for at least one event bin of the default configuration.
A window of that length therefore shows at most one stroke, and the same parts of the same strokes
in every class; longer windows may show which strokes are neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mdft.config.order import ORDERS

#: Distance of the middle of the sound from the middle of the motion: a quarter of the cycle.
LAG = 0.25
#: Duration of the rise and of the fall of the sound.
RAMP = 0.03


@dataclass(frozen=True)
class Order:
    """One value of each attribute of ``ORDERS``."""

    direction: str
    tempo: str
    count: str
    timing: str

    def __str__(self) -> str:
        return "-".join(self.values)

    @property
    def values(self) -> tuple[str, str, str, str]:
        """The values in the order of ``ORDERS``."""
        return self.direction, self.tempo, self.count, self.timing

    def reversed(self) -> Order:
        """The order of the same clip with time reversed."""

        def other(attribute: str, value: str) -> str:
            first, second = ORDERS[attribute]
            return first if value == second else second

        return Order(
            other("direction", self.direction),
            other("tempo", self.tempo),
            self.count,
            other("timing", self.timing),
        )


@dataclass(frozen=True)
class Pace:
    """Durations, as shares of the cycle; they do not depend on the class.

    Attributes:
        motion: sum of the durations of all strokes.
        ratio: duration of a stroke relative to the next slower one.
        rest: least rest between two strokes.
        pause: further rest between two pairs of strokes, if the motion happens thrice.
        sound: duration of the sound at half its height.
    """

    motion: float
    ratio: float
    rest: float
    pause: float
    sound: float


def draw_pace(rng: np.random.Generator) -> Pace:
    """Sample the durations of one clip."""
    return Pace(
        motion=float(rng.uniform(0.48, 0.50)),
        ratio=float(rng.uniform(0.58, 0.66)),
        rest=float(rng.uniform(0.032, 0.036)),
        pause=float(rng.uniform(0.065, 0.080)),
        sound=float(rng.uniform(0.18, 0.24)),
    )


class Stroke(NamedTuple):
    """One stroke.

    Attributes:
        start: when it starts.
        duration: how long it takes.
        sign: 1 to the right, −1 to the left.
    """

    start: float
    duration: float
    sign: int


def strokes(order: Order, pace: Pace) -> list[Stroke]:
    """The six strokes of a cycle; their span is centred at 0."""
    pairs = pace.motion * pace.ratio ** np.arange(3) / (pace.ratio ** np.arange(3)).sum()
    if order.tempo == "slowing":
        pairs = pairs[::-1]
    signs = (1, -1) if order.direction == "right_left" else (-1, 1)
    pause = pace.pause if order.count == "thrice" else 0.0
    time, found = 0.0, []
    for pair in pairs.tolist():
        for sign in signs:
            found.append(Stroke(time, pair / 2, sign))
            time += pair / 2 + pace.rest
        time += pause
    middle = (time - pause - pace.rest) / 2
    return [stroke._replace(start=stroke.start - middle) for stroke in found]


def displacement(order: Order, pace: Pace, time: np.ndarray) -> np.ndarray:
    """Displacement of the object to the right, −1 to 1; 0 at rest.

    Args:
        order: the order of the strokes.
        pace: their durations.
        time: any shape, shares of the cycle; it is periodic with period 1.
    """
    now = _wrapped(time)
    moved = np.zeros_like(now)
    for start, duration, sign in strokes(order, pace):
        share = (now - start) / duration
        moved += np.where((share > 0) & (share < 1), sign * np.sin(np.pi * share) ** 2, 0.0)
    return moved


def envelope(order: Order, pace: Pace, time: np.ndarray) -> np.ndarray:
    """Amplitude of the sound, 0 to 1; same arguments as :func:`displacement`."""
    middle = -LAG if order.timing == "sound_before" else LAG
    inside = (pace.sound / 2 - np.abs(_wrapped(time - middle))) / RAMP
    return np.sin(np.pi / 2 * np.clip(0.5 + inside, 0, 1)) ** 2


def _wrapped(time: np.ndarray) -> np.ndarray:
    """The same moment of the cycle, in [−0.5, 0.5)."""
    return time - np.floor(time + 0.5)
