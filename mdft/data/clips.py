"""From a configuration to the clips it names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from events import feature_events
from mdft.config import DataConfig
from mdft.data import rendered
from mdft.data.dataset import ClipSet


def load_clips(config: DataConfig) -> ClipSet:
    """The clips of a data configuration, rendered or read from the cache.

    Args:
        config: what to load, and which events E_v stands for.
    """
    clips = rendered.load(config.rendered, cache_dir=config.cache)
    if config.events == "feature":
        clips = with_feature_events(clips, config.feature_threshold)
    return clips


def with_feature_events(clips: ClipSet, threshold: float) -> ClipSet:
    """The same clips with E_v made of their visual features, K = 1, values in {−1, 0, 1}.

    Args:
        clips: any clips.
        threshold: C, in log feature.
    """
    events_NTD = np.zeros(clips.visual_NTD.shape, dtype=np.int8)
    for row, features_TD, seconds in zip(
        events_NTD, clips.visual_NTD, clips.seconds_N, strict=True
    ):
        row[:seconds] = feature_events(features_TD[:seconds], threshold)
    return replace(clips, events_NTKD=events_NTD[:, :, None], event_unit=1.0)
