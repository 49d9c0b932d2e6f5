"""Recipes: named configurations, each a function whose docstring says command and cost."""

from __future__ import annotations

from collections.abc import Callable

from mdft.config import DataConfig, TrainConfig
from mdft.data.rendered_config import ClassCounts, RenderedConfig


def embedded() -> TrainConfig:
    """The embedded benchmark: 48 rendered classes, both stages.

    ``python -m mdft.train`` · four minutes on two cores, drawing included · no download.
    """
    return TrainConfig(epochs=12, batch_size=32, learning_rate=1e-3)


def debug() -> TrainConfig:
    """A few seconds: 12 small classes, two epochs. Its scores mean nothing.

    ``python -m mdft.train debug``
    """
    counts = ClassCounts(
        groups=4,
        seen_per_group=2,
        unseen_per_group=2,
        val_groups=1,
        test_groups=1,
        motions=4,
        clips_per_class=6,
        val_clips=1,
        test_clips=1,
    )
    rendered = RenderedConfig(counts=counts, seconds=2, fps=8, size=32)
    return TrainConfig(
        data=DataConfig(rendered=rendered), epochs=2, batch_size=16, learning_rate=1e-3
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {"embedded": embedded, "debug": debug}
