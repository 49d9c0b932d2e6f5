"""The backbones that a configuration can name."""

from __future__ import annotations

from functools import lru_cache

from mdft.config.features import CLIP_CLAP, FROZEN, LIGHT, SELAVI, TORCHVISION, FeatureConfig
from mdft.data.extractor import FRAMES_A_SECOND, frame_features, make_extractor, sound_features
from mdft.data.video.backbone import Backbone


@lru_cache(maxsize=2)
def make_backbone(config: FeatureConfig) -> Backbone:
    """The networks that a configuration names, with their weights.

    Raises:
        UserError: there is no such network, a library is missing, or the weights do not fit.
        OSError: the checkpoint cannot be read.
    """
    config.check()
    # Imported here: their libraries are optional dependencies and take seconds to import.
    if config.backbone == SELAVI:
        from mdft.data.video.selavi import selavi

        assert config.checkpoint is not None
        return selavi(config.checkpoint)
    if config.backbone.startswith(TORCHVISION):
        from mdft.data.video.torchvision_nets import video_network

        return video_network(config.backbone.removeprefix(TORCHVISION), config)
    if config.backbone == LIGHT:
        from mdft.data.video.light import light

        return light(config)
    if config.backbone == CLIP_CLAP:
        from mdft.data.video.clip_clap import clip_clap

        return clip_clap(config)
    assert config.backbone == FROZEN
    return frozen(config)


def frozen(config: FeatureConfig) -> Backbone:
    """The extractor of the embedded benchmark (:mod:`mdft.data.extractor`), 512 and 512 wide."""
    extractor = make_extractor(config.seed, config.sample_rate)
    return Backbone(
        frame_size=config.size,
        frames_per_second=FRAMES_A_SECOND,
        sound_rate=config.sample_rate,
        visual=lambda frames: frame_features(frames, FRAMES_A_SECOND, extractor),
        audio=lambda sound: sound_features(sound, extractor),
    )
