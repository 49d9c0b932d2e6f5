"""Recipes: named configurations, each a function whose docstring says command and cost."""

from __future__ import annotations

from collections.abc import Callable

from mdft.config import DataConfig, ModelConfig, TrainConfig
from mdft.data.rendered_config import ClassCounts, RenderedConfig


def embedded() -> TrainConfig:
    """The embedded benchmark: 48 rendered classes, both stages.

    ``python -m mdft.train`` · about four minutes on two cores · no download.
    """
    return TrainConfig(epochs=12, batch_size=64, learning_rate=1e-3)


def debug() -> TrainConfig:
    """A few seconds: a handful of tiny classes, two epochs. Scores mean nothing.

    ``python -m mdft.train debug``
    """
    return TrainConfig(
        data=DataConfig(rendered=RenderedConfig()),
        model=ModelConfig(),
        epochs=2,
        batch_size=16,
        learning_rate=1e-3,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {"embedded": embedded, "debug": debug}
