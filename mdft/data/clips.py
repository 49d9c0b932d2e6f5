"""From a configuration to the clips it names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mdft.config import DataConfig
from mdft.data.dataset import ClipSet
from mdft.data.feature_bins import feature_bins
from mdft.data.scale import measure


def load_clips(config: DataConfig) -> ClipSet:
    """The clips of a data configuration: rendered, or of feature or video files; cached.

    Args:
        config: what to load, and which events E_v stands for.

    Raises:
        UserError: a field or a file is not as expected, or the cache cannot be written.
        OSError: a file cannot be read, or the disk is full.
    """
    config.check()
    # Here and not above: `python -m mdft.data.rendered` must not find itself imported already.
    from mdft.data import benchmark, folder, rendered

    if config.source == "files":
        return benchmark.load(config)
    if config.source == "folder":
        return folder.load(config)
    clips = rendered.load(config.rendered, cache_dir=config.cache)
    if config.events == "feature":  # of the raw features: log contrast has no negative values
        clips = with_feature_events(clips, config.feature_threshold)
    return standardised(clips)


def standardised(clips: ClipSet) -> ClipSet:
    """The same clips; batches have features of mean 0 and deviation 1 over stage-1 training."""
    rows, _ = clips.rows(clips.splits["stage_1_train"])
    scales = {"audio": measure(clips.audio_MD, rows), "visual": measure(clips.visual_MD, rows)}
    return replace(clips, scales=scales)


def with_feature_events(clips: ClipSet, threshold: float) -> ClipSet:
    """The same clips with E_v made of their visual features, K = 1, values from −1 to 1.

    Args:
        clips: any clips.
        threshold: C, in log feature.
    """
    channels = clips.events_MKD.shape[-1]
    bins = feature_bins(clips.visual_MD, clips.offsets_N1, threshold, channels)
    return replace(clips, events_MKD=np.concatenate(list(bins)))
