"""One clip: a video file in, features and event bins out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from events.video.footage import Footage, Wanted
from events.video.isolated import IsolatedReader
from mdft.config.features import FeatureConfig
from mdft.data.video.backbone import Backbone
from mdft.data.video.backbones import make_backbone
from mdft.errors import UserError


@dataclass(frozen=True)
class ClipFeatures:
    """What a model is given of one clip.

    Attributes:
        audio_TD: (T, D_a) float32, not standardised.
        visual_TD: (T, D_v) float32, not standardised.
        events_TKD: (T, K, 512) uint8 in sixteenths.
        fps: nominal frame rate, 0 if unknown.
        remarks: what was odd about the file.
        footage: what was decoded, where it was asked for.
    """

    audio_TD: np.ndarray
    visual_TD: np.ndarray
    events_TKD: np.ndarray
    fps: float
    remarks: tuple[str, ...] = ()
    footage: Footage | None = None


_LOCAL = threading.local()


def read_clip(path: Path, config: FeatureConfig) -> Footage:
    """Pictures, sound and event bins of a clip, read in a process of its own.

    The process serves all clips of this thread, and ends with it.

    Raises:
        UserError: the file cannot be read.
    """
    backbone = make_backbone(config)
    if not hasattr(_LOCAL, "reader"):
        _LOCAL.reader = IsolatedReader()
    return _LOCAL.reader.read(
        Wanted(
            path=str(path),
            frame_size=backbone.frame_size,
            frames_per_second=backbone.frames_per_second,
            sound_rate=backbone.sound_rate,
            event_size=config.size,
            bins_per_second=config.bins_per_second,
            threshold=config.event_threshold,
            max_seconds=config.max_seconds,
        )
    )


def extract_clip(path: Path, config: FeatureConfig, *, keep_footage: bool = False) -> ClipFeatures:
    """Features and events of a clip.

    Args:
        path: the video file.
        config: how they are taken.
        keep_footage: whether the decoded pictures and sound are returned, too.

    Raises:
        UserError: the file cannot be read, or the network cannot be made.
    """
    footage = read_clip(path, config)
    found = features_of(path, footage, make_backbone(config))
    return replace(found, footage=footage) if keep_footage else found


def features_of(path: Path, footage: Footage, backbone: Backbone) -> ClipFeatures:
    """What the networks make of a clip that has been read.

    Raises:
        UserError: a feature is not finite.
    """
    # Sums of one thread are in one order, whatever the machine has.
    with _one_thread():
        audio_TD, visual_TD = backbone.audio(footage.sound), backbone.visual(footage.frames)
    for kind, values in (("audio", audio_TD), ("visual", visual_TD)):
        if not np.isfinite(values).all():
            raise UserError(f"{path}: its {kind} features are not finite; wrong weights?")
    return ClipFeatures(audio_TD, visual_TD, footage.bins, footage.fps, footage.remarks)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
