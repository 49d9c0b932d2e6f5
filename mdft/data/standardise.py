"""Standardise or whiten the features of a data set; make events of features, and the reverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mdft.data.dataset import EVENT_UNIT, ClipSet
from mdft.data.feature_bins import feature_bins
from mdft.data.scale import Scale, measure, whitening


def standardised(clips: ClipSet) -> ClipSet:
    """The same clips, standardised: batches have mean 0 and deviation 1 over stage-1 training."""
    return _scaled(clips, measure)


def whitened(clips: ClipSet) -> ClipSet:
    """The same clips, whitened: :func:`mdft.data.scale.whitening` over stage-1 training."""
    return _scaled(clips, whitening)


def _scaled(clips: ClipSet, found: Callable[[np.ndarray, np.ndarray], Scale]) -> ClipSet:
    rows, _ = clips.rows(clips.splits["stage_1_train"])
    scales = {"audio": found(clips.audio_MD, rows), "visual": found(clips.visual_MD, rows)}
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


def with_events_as_features(clips: ClipSet) -> ClipSet:
    """The same clips with E_v appended to the visual features, for systems that take no events.

    A step of the result is an event bin instead of a second: bin k of second t has the audio
    features of t and ``[visual_t, E_v(t, k)]``, E_v in events per pixel. A mean over a clip's steps
    is therefore the mean features beside the mean events. The events stay, with K = 1.

    Args:
        clips: clips with raw features; a data set with scales is standardised again.
    """
    bins = clips.events_MKD.shape[1]
    events_MD = clips.events_MKD.reshape(-1, clips.events_MKD.shape[-1])
    scaled_MD = events_MD.astype(np.float32) * np.float32(EVENT_UNIT)
    visual_MD = np.repeat(clips.visual_MD, bins, axis=0)
    wide = replace(
        clips,
        audio_MD=np.repeat(clips.audio_MD, bins, axis=0),
        visual_MD=np.concatenate([visual_MD, scaled_MD], axis=1),
        events_MKD=events_MD[:, None],
        offsets_N1=clips.offsets_N1 * bins,
    )
    return standardised(wide) if clips.scales else wide


def averaged_over_clips(clips: ClipSet) -> ClipSet:
    """The same clips with one step each: the mean of its features, in float64, and no events.

    Standardisation then divides by the deviation between clips, as with published averaged
    features, and not by that between steps, which is larger for sparse features such as events.

    Args:
        clips: clips with raw features; a data set with scales is standardised again.
    """
    starts, seconds_N1 = clips.offsets_N1[:-1], clips.seconds_N[:, None]

    def mean(features_MD: np.ndarray) -> np.ndarray:
        sums_ND = np.add.reduceat(features_MD, starts, axis=0, dtype=np.float64)
        return (sums_ND / seconds_N1).astype(np.float32)

    channels = clips.events_MKD.shape[-1]
    short = replace(
        clips,
        audio_MD=mean(clips.audio_MD),
        visual_MD=mean(clips.visual_MD),
        events_MKD=np.zeros((len(clips), 1, channels), clips.events_MKD.dtype),
        offsets_N1=np.arange(len(clips) + 1),
        averaged=True,
    )
    return standardised(short) if clips.scales else short
