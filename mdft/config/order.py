"""The parameters of the benchmark of order; importing them loads no renderer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from mdft.config.ranges import Count
from mdft.config.rendered import ClassCounts, RenderedConfig

#: The attributes of order and their two values each.
ORDERS: dict[str, tuple[str, str]] = {
    "direction": ("left_right", "right_left"),
    "tempo": ("slowing", "speeding"),
    "count": ("once", "thrice"),
    "timing": ("sound_after", "sound_before"),
}


@dataclass(frozen=True)
class OrderCounts(ClassCounts):
    """Numbers of classes and clips.

    A motion is a combination of the attributes of order. The seen classes of a group have one half
    of the combinations and its unseen classes the other half, so three of the numbers are fixed.

    Attributes:
        groups: number of groups; the classes of a group share object and sound.
        seen_per_group: seen classes per group.
        unseen_per_group: unseen classes per group with unseen classes.
        val_groups: groups with validation-unseen classes.
        test_groups: groups with test-unseen classes, distinct from the val_groups.
        motions: number of combinations.
        clips_per_class: clips per class.
        val_clips: clips per seen class held out for validation.
        test_clips: clips held out for the test, per class that stage 2 trains on.
    """

    groups: Annotated[int, Interval(ge=4, le=36)] = 6
    seen_per_group: Literal[8] = 8
    unseen_per_group: Literal[8] = 8
    val_groups: Count = 1
    test_groups: Count = 1
    motions: Literal[16] = 16
    clips_per_class: Count = 32


@dataclass(frozen=True)
class OrderConfig(RenderedConfig):
    """Parameters of the benchmark of order, which determine every clip, feature and word vector.

    Attributes:
        seed: seed of all random numbers.
        counts: numbers of classes and clips.
        seconds: length of a clip and of its cycle in seconds (T).
        fps: frames per second.
        size: side of the square frames in pixels.
        sample_rate: audio samples per second; rates of AAC with a whole number of samples in 10 ms.
        home_probability: probability that a clip of a seen class uses the class's home scene.
        bins_per_second: event bins per second (K).
        event_threshold: contrast threshold C of the event generator.
        word_noise: norm of the class-specific noise in a word vector; each attribute vector has
            norm 1.
    """

    counts: OrderCounts = field(default_factory=OrderCounts)
    seconds: Annotated[int, Interval(ge=1, le=60)] = 4
    home_probability: Annotated[float, Interval(ge=0, le=1)] = 0.4
