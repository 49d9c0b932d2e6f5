"""From a configuration to the clips it names."""

from __future__ import annotations

from mdft.config.data import DataConfig
from mdft.data.dataset import ClipSet
from mdft.data.files import benchmark
from mdft.data.rendered import benchmark as rendered
from mdft.data.standardise import standardised, with_feature_events
from mdft.data.video import benchmark as folder


def load_clips(config: DataConfig) -> ClipSet:
    """The clips of a data configuration: rendered, or of feature or video files; cached.

    Args:
        config: what to load, and which events E_v stands for.

    Raises:
        UserError: a field or a file is not as expected, or the cache cannot be written.
        OSError: a file cannot be read, or the disk is full.
    """
    config.check()

    if config.source == "files":
        return benchmark.load(config)
    if config.source == "folder":
        return folder.load(config)
    clips = rendered.load(config.rendered, cache_dir=config.cache)
    if config.events == "feature":  # of the raw features: log contrast has no negative values
        clips = with_feature_events(clips, config.feature_threshold)
    return standardised(clips)
