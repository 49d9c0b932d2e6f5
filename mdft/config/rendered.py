"""The parameters of the embedded benchmark; importing them loads no renderer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from mdft.errors import UserError

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

#: Sample rates of AAC that have a whole number of samples in a hundredth of a second.
_RATES = (8000, 12000, 16000, 24000, 32000, 48000)


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
        """Raise a ``UserError`` that names the first count out of its range."""
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
                "enough for two seen classes per motion",
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
    """Parameters of the embedded benchmark, which determine every clip, feature and word vector.

    Attributes:
        seed: seed of all random numbers.
        counts: numbers of classes and clips.
        seconds: length of a clip in seconds (T).
        fps: frames per second.
        size: side of the square frames in pixels.
        sample_rate: audio samples per second.
        home_probability: probability that a clip of a seen class uses the class's home scene.
        bins_per_second: event bins per second (K).
        event_threshold: contrast threshold C of the event generator.
        word_noise: norm of the class-specific noise in a word vector; each attribute vector has
            norm 1.
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
        """Raise a ``UserError`` that names the first field out of its range."""
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
