"""From a configuration to the clips it names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from events import feature_events
from mdft.config import DataConfig
from mdft.data.dataset import ClipSet
from mdft.data.extractor import standardise


def load_clips(config: DataConfig) -> ClipSet:
    """The clips of a data configuration, rendered or read from the cache.

    Args:
        config: what to load, and which events E_v stands for.
    """
    # Here and not above: `python -m mdft.data.rendered` must not find itself imported already.
    from mdft.data import rendered

    clips = rendered.load(config.rendered, cache_dir=config.cache)
    if config.events == "feature":  # of the raw features: log contrast has no negative values
        clips = with_feature_events(clips, config.feature_threshold)
    return standardised(clips)


def standardised(clips: ClipSet) -> ClipSet:
    """The same clips, features of mean 0 and deviation 1 over the stage-1 training clips.

    Args:
        clips: all of one length.
    """
    fit = clips.splits["stage_1_train"]
    return replace(
        clips,
        audio_NTD=standardise(clips.audio_NTD, fit),
        visual_NTD=standardise(clips.visual_NTD, fit),
    )


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
