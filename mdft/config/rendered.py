"""The parameters of the embedded benchmark; importing them loads no renderer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Interval

from mdft.config.ranges import (
    BinsPerSecond,
    Count,
    FrameSize,
    NotNegative,
    Positive,
    check_ranges,
)
from mdft.errors import require

#: The index of an object is its shape number in the rendering kernel.
OBJECTS = (
    "striped_ball",
    "checkered_box",
    "spotted_star",
    "sectored_ring",
    "halved_cross",
    "banded_triangle",
)
#: Hue of each object, in turns.
HUES = (0.01, 0.15, 0.32, 0.50, 0.64, 0.83)

#: Clockwise is as seen on the screen, where y points down.
MOTIONS = (
    "bounces",
    "orbits_ccw",
    "orbits_cw",
    "pulses",
    "spins",
    "sweeps",
    "swings",
    "zigzags",
)

SOUNDS = ("bells", "chirps", "clicks", "hiss", "hum", "siren")

SCENES = (
    "bricks",
    "clouds",
    "dunes",
    "leaves",
    "meadow",
    "night",
    "planks",
    "sea",
    "tiles",
    "windows",
)


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of classes and clips.

    Attributes:
        groups: number of groups; the classes of a group share object and sound.
        seen_per_group: seen classes per group.
        unseen_per_group: unseen classes per group with unseen classes.
        val_groups: groups with validation-unseen classes.
        test_groups: groups with test-unseen classes, distinct from the val_groups.
        motions: number of motions used.
        clips_per_class: clips per class.
        val_clips: clips per seen class held out for validation.
        test_clips: clips held out for the test, per class that stage 2 trains on.
    """

    groups: Count = 8
    seen_per_group: Annotated[int, Ge(2)] = 4
    unseen_per_group: Count = 4
    val_groups: Count = 2
    test_groups: Count = 2
    motions: Annotated[int, Interval(ge=2, le=len(MOTIONS))] = len(MOTIONS)
    clips_per_class: Count = 24
    val_clips: Count = 4
    test_clips: Count = 4

    def check(self) -> None:
        """Raise a ``UserError`` that names the first count out of its range."""
        check_ranges(self)
        for name, holds, expected in self._relations():
            require(holds, name, getattr(self, name), expected)

    def _relations(self) -> tuple[tuple[str, bool, str], ...]:
        """What the counts must be relative to each other: name, whether it holds, expected."""
        most = min(len(OBJECTS), len(SOUNDS))
        rest, free = self.motions - self.seen_per_group, self.groups - self.val_groups
        held_out = self.val_clips + self.test_clips
        return (
            ("groups", self.groups <= most * most, f"at most {most * most}"),
            (
                "seen_per_group",
                self.motions % self.seen_per_group == 0,
                f"a divisor of motions={self.motions}",
            ),
            ("unseen_per_group", self.unseen_per_group <= rest, f"1 to {rest}"),
            (
                "groups",
                self.groups * self.seen_per_group >= 2 * self.motions,
                "enough for two seen classes per motion",
            ),
            (
                "test_groups",
                self.test_groups <= free,
                f"at most {free}, with val_groups={self.val_groups}",
            ),
            (
                "clips_per_class",
                self.clips_per_class > held_out,
                f"more than val_clips + test_clips = {held_out}",
            ),
        )


@dataclass(frozen=True)
class RenderedConfig:
    """Parameters of the embedded benchmark, which determine every clip, feature and word vector.

    Attributes:
        seed: seed of all random numbers.
        counts: numbers of classes and clips.
        seconds: length of a clip in seconds (T).
        fps: frames per second.
        size: side of the square frames in pixels.
        sample_rate: audio samples per second; rates of AAC with a whole number of samples in 10 ms.
        home_probability: probability that a clip of a seen class uses the class's home scene.
        bins_per_second: event bins per second (K).
        event_threshold: contrast threshold C of the event generator.
        word_noise: norm of the class-specific noise in a word vector; each attribute vector has
            norm 1.
    """

    seed: Annotated[int, Ge(0)] = 0
    counts: ClassCounts = field(default_factory=ClassCounts)
    seconds: Annotated[int, Interval(ge=1, le=60)] = 3
    fps: Annotated[int, Interval(ge=4, le=240)] = 16
    size: FrameSize = 64
    sample_rate: Literal[8000, 12000, 16000, 24000, 32000, 48000] = 8000
    home_probability: Annotated[float, Interval(ge=0, le=1)] = 0.7
    bins_per_second: BinsPerSecond = 8
    event_threshold: Positive = 0.2
    word_noise: NotNegative = 0.1

    def check(self) -> None:
        """Raise a ``UserError`` that names the first field out of its range."""
        check_ranges(self)
        self.counts.check()
