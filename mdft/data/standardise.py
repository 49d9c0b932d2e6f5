"""Standardise the features of a data set, or replace its events by feature events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mdft.data.dataset import ClipSet
from mdft.data.feature_bins import feature_bins
from mdft.data.scale import measure


def standardised(clips: ClipSet) -> ClipSet:
    """The same clips, standardised: batches have mean 0 and deviation 1 over stage-1 training."""
    rows, _ = clips.rows(clips.splits["stage_1_train"])
    scales = {"audio": measure(clips.audio_MD, rows), "visual": measure(clips.visual_MD, rows)}
    return replace(clips, scales=scales)


def with_feature_events(clips: ClipSet, threshold: float) -> ClipSet:
    """The same clips with E_v computed from their visual features, K = 1, values from −1 to 1.

    Args:
        clips: clips with raw features.
        threshold: threshold C, a difference of log features.
    """
    channels = clips.events_MKD.shape[-1]
    bins = feature_bins(clips.visual_MD, clips.offsets_N1, threshold, channels)
    return replace(clips, events_MKD=np.concatenate(list(bins)))
