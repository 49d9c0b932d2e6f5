"""What distinguishes one rendered benchmark from another: classes, words and clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mdft.config.order import OrderConfig
from mdft.config.rendered import RenderedConfig
from mdft.data.order import classes as order_classes
from mdft.data.order import clip as order_clip
from mdft.data.rendered import classes as rendered_classes
from mdft.data.rendered import clip as rendered_clip
from mdft.data.rendered.classes import ClipClass, make_splits
from mdft.data.rendered.clip import Clip


@dataclass(frozen=True)
class Content:
    """The content of one rendered benchmark.

    Attributes:
        classes: its classes; a class's id is its index.
        words_CW: (C, 300) float32 word vectors.
        splits: split name → sorted int64 clip indices, as :func:`make_splits` returns.
        render: draws a clip; arguments: class id, index of the clip within the class.
    """

    classes: tuple[ClipClass, ...]
    words_CW: np.ndarray
    splits: Mapping[str, np.ndarray]
    render: Callable[[int, int], Clip]


def content_of(config: RenderedConfig) -> Content:
    """The benchmark of a configuration: of order for an ``OrderConfig``, else the embedded one.

    Raises:
        UserError: a count is out of its range.
    """
    seed, noise, counts = config.seed, config.word_noise, config.counts
    if isinstance(config, OrderConfig):
        kinds = order_classes.make_classes(seed, config.counts)
        return Content(
            kinds,
            order_classes.word_vectors(seed, kinds, noise),
            make_splits(kinds, counts),
            lambda c, j: order_clip.render_clip(config, kinds[c], c, j),
        )
    classes = rendered_classes.make_classes(seed, counts)
    return Content(
        classes,
        rendered_classes.word_vectors(seed, classes, noise),
        make_splits(classes, counts),
        lambda c, j: rendered_clip.render_clip(config, classes[c], c, j),
    )
