"""The networks that turn a second of pictures and of sound into a vector each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mdft.data.extractor import (
    FRAMES_A_SECOND,
    frame_features,
    make_extractor,
    sound_features,
)
from mdft.extract.config import FROZEN, SELAVI, TORCHVISION, FeatureConfig


@dataclass(frozen=True)
class Backbone:
    """What it wants of a clip, and what it makes of that.

    Attributes:
        picture_size: shorter side of the pictures, pixels.
        pictures_per_second: P.
        sound_rate: samples a second.
        visual: (T·P, H, W, 3) uint8 RGB → (T, D_v) float32.
        audio: (T·rate,) float32 → (T, D_a) float32.
        note: what a user must know of it; empty if nothing.
    """

    picture_size: int
    pictures_per_second: int
    sound_rate: int
    visual: Callable[[np.ndarray], np.ndarray]
    audio: Callable[[np.ndarray], np.ndarray]
    note: str = ""


@lru_cache(maxsize=2)
def make_backbone(config: FeatureConfig) -> Backbone:
    """The networks that a configuration names, with their weights.

    Raises:
        UserError: there is no such network, torchvision is absent, or the weights do not fit.
        OSError: the checkpoint cannot be read.
    """
    config.check()
    # Here and not above: torchvision is not everywhere, and takes a second to import.
    if config.backbone == SELAVI:
        from mdft.extract.selavi import selavi

        assert config.checkpoint is not None
        return selavi(config.checkpoint)
    if config.backbone.startswith(TORCHVISION):
        from mdft.extract.torchvision_nets import video_network

        return video_network(config.backbone.removeprefix(TORCHVISION), config)
    assert config.backbone == FROZEN
    return frozen(config)


def frozen(config: FeatureConfig) -> Backbone:
    """The extractor of the embedded benchmark (:mod:`mdft.data.extractor`), 512 and 512 wide."""
    extractor = make_extractor(config.seed, config.sample_rate)
    return Backbone(
        picture_size=config.size,
        pictures_per_second=FRAMES_A_SECOND,
        sound_rate=config.sample_rate,
        visual=lambda pictures: frame_features(pictures, FRAMES_A_SECOND, extractor),
        audio=lambda sound: sound_features(sound, extractor),
    )
