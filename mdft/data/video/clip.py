"""Extract the features and event bins of one video file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from events.video.isolated import reader_here
from events.video.wanted import Footage, Wanted
from mdft.config.features import FeatureConfig
from mdft.data.video.backbone import Backbone
from mdft.data.video.backbones import make_backbone
from mdft.errors import UserError


@dataclass(frozen=True)
class ClipFeatures:
    """Features and event bins of one clip, the input of a model.

    Attributes:
        audio_TD: (T, D_a) float32, not standardised.
        visual_TD: (T, D_v) float32, not standardised.
        events_TKD: (T, K, 512) uint8 in sixteenths.
        fps: nominal frame rate, 0 if unknown.
        remarks: irregularities of the file, one line each.
        footage: the decoded frames and sound, if requested.
        silent: whether the clip has no sound, or silence only.
    """

    audio_TD: np.ndarray
    visual_TD: np.ndarray
    events_TKD: np.ndarray
    fps: float
    remarks: tuple[str, ...] = ()
    footage: Footage | None = None
    silent: bool = False


def read_clip(path: Path, config: FeatureConfig, *, strict: bool = False) -> Footage:
    """Read frames, sound and event bins of a clip in a child process.

    One child process reads all clips of this thread, and ends with it.

    Args:
        path: path of the video file.
        config: settings of the extraction.
        strict: refuse a clip of which any frame is lost or damaged.

    Raises:
        UserError: the file cannot be read.
    """
    backbone = make_backbone(config)
    return reader_here().read(
        Wanted(
            path=str(path),
            frame_size=backbone.frame_size,
            frames_per_second=backbone.frames_per_second,
            sound_rate=backbone.sound_rate,
            event_size=config.size,
            bins_per_second=config.bins_per_second,
            threshold=config.event_threshold,
            max_seconds=config.max_seconds,
            strict=strict,
        )
    )


def extract_clip(
    path: Path, config: FeatureConfig, *, keep_footage: bool = False, strict: bool = False
) -> ClipFeatures:
    """Extract features and events of a clip.

    Args:
        path: path of the video file.
        config: settings of the extraction.
        keep_footage: whether to return the decoded frames and sound, too.
        strict: refuse a clip of which any frame is lost or damaged.

    Raises:
        UserError: the file cannot be read, or the backbone cannot be built.
    """
    footage = read_clip(path, config, strict=strict)
    found = features_of(path, footage, make_backbone(config))
    return replace(found, footage=footage) if keep_footage else found


def features_of(path: Path, footage: Footage, backbone: Backbone) -> ClipFeatures:
    """Features of a decoded clip.

    Raises:
        UserError: a feature is not finite.
    """
    # On one thread the order of sums does not depend on the number of cores.
    with _one_thread():
        audio_TD, visual_TD = backbone.audio(footage.sound), backbone.visual(footage.frames)
    for kind, values in (("audio", audio_TD), ("visual", visual_TD)):
        if not np.isfinite(values).all():
            raise UserError(f"{path}: its {kind} features are not finite; check the weights")
    silent = not footage.sound.any()
    return ClipFeatures(
        audio_TD, visual_TD, footage.bins, footage.fps, footage.remarks, silent=silent
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
