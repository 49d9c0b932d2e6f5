"""The parameters of the embedded benchmark. Light to import: it draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from mdft.errors import UserError

#: An object's index is the shape that the drawing kernel draws.
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

#: Rates of AAC that hold a whole number of samples in a hundredth of a second.
_RATES = (8000, 12000, 16000, 24000, 32000, 48000)


@dataclass(frozen=True)
class ClassCounts:
    """How many classes and clips there are.

    Attributes:
        groups: groups of classes that share object and sound.
        seen_per_group: seen classes in every group.
        unseen_per_group: unseen classes in a group that has any.
        val_groups: groups with validation-unseen classes.
        test_groups: other groups, with test-unseen classes.
        motions: how many kinds of motion are used.
        clips_per_class: clips of each class.
        val_clips: clips of a seen class kept for validation.
        test_clips: clips of a class seen in stage 2 kept for the test.
    """

    groups: int = 8
    seen_per_group: int = 4
    unseen_per_group: int = 4
    val_groups: int = 2
    test_groups: int = 2
    motions: int = len(MOTIONS)
    clips_per_class: int = 24
    val_clips: int = 4
    test_clips: int = 4

    def check(self) -> None:
        """Raise ``UserError`` naming the first count that cannot be met."""
        most = min(len(OBJECTS), len(SOUNDS))
        rules = (
            (self.groups <= most * most, "groups", f"at most {most * most}"),
            (2 <= self.motions <= len(MOTIONS), "motions", f"2 to {len(MOTIONS)}"),
            (self.seen_per_group >= 2, "seen_per_group", "at least 2"),
            (
                self.motions % max(self.seen_per_group, 1) == 0,
                "seen_per_group",
                f"a divisor of motions={self.motions}",
            ),
            (
                1 <= self.unseen_per_group <= self.motions - self.seen_per_group,
                "unseen_per_group",
                f"1 to {self.motions - self.seen_per_group}",
            ),
            (
                self.groups * self.seen_per_group >= 2 * self.motions,
                "groups",
                "enough for two seen classes a motion",
            ),
            (self.val_groups >= 1, "val_groups", "at least 1"),
            (self.test_groups >= 1, "test_groups", "at least 1"),
            (
                self.val_groups + self.test_groups <= self.groups,
                "test_groups",
                f"at most {self.groups - self.val_groups}, with val_groups={self.val_groups}",
            ),
            (self.val_clips >= 1, "val_clips", "at least 1"),
            (self.test_clips >= 1, "test_clips", "at least 1"),
            (
                self.clips_per_class > self.val_clips + self.test_clips,
                "clips_per_class",
                f"more than val_clips + test_clips = {self.val_clips + self.test_clips}",
            ),
        )
        require(self, rules)


@dataclass(frozen=True)
class RenderedConfig:
    """The embedded benchmark's parameters; every number of it is a function of these.

    Attributes:
        seed: the one seed.
        counts: how many classes and clips.
        seconds: length of a clip (T).
        fps: frames a second.
        size: side of a frame in pixels.
        sample_rate: of the sound, samples a second.
        home_probability: how often a clip of a seen class happens in its home scene.
        bins_per_second: event bins (K).
        event_threshold: contrast threshold C of the event generator.
        word_noise: length of the class-specific part of a word vector (attributes have 1).
    """

    seed: int = 0
    counts: ClassCounts = field(default_factory=ClassCounts)
    seconds: int = 3
    fps: int = 16
    size: int = 64
    sample_rate: int = 8000
    home_probability: float = 0.7
    bins_per_second: int = 8
    event_threshold: float = 0.2
    word_noise: float = 0.1

    def check(self) -> None:
        """Raise ``UserError`` naming the first field that cannot be met."""
        self.counts.check()
        rules = (
            (self.seed >= 0, "seed", "0 or more"),
            (1 <= self.seconds <= 60, "seconds", "1 to 60"),
            (4 <= self.fps <= 240, "fps", "4 to 240"),
            (16 <= self.size <= 512, "size", "16 to 512"),
            (
                self.sample_rate in _RATES,
                "sample_rate",
                f"one of {', '.join(map(str, _RATES))}",
            ),
            (0 <= self.home_probability <= 1, "home_probability", "0 to 1"),
            (1 <= self.bins_per_second <= 1000, "bins_per_second", "1 to 1000"),
            (0 < self.event_threshold < math.inf, "event_threshold", "a positive number"),
            (0 <= self.word_noise < math.inf, "word_noise", "0 or more"),
        )
        require(self, rules)


def require(config: object, rules: Iterable[tuple[bool, str, str]]) -> None:
    """Raise ``UserError`` for the first rule (holds, field, expected) that does not hold."""
    for holds, name, expected in rules:
        if not holds:
            raise UserError(f"{name}={getattr(config, name)}: expected {expected}")
