"""Configuration of the data: where clips come from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mdft.config.features import FeatureConfig
from mdft.config.rendered import RenderedConfig
from mdft.errors import require


@dataclass(frozen=True)
class DataConfig:
    """Where the clips come from."""

    source: str = "rendered"
    """rendered: the embedded benchmark; files: feature files in the layout of AVCA and TCaF
    (docs/data.md); folder: video files (docs/predict.md); or a source of one's own
    (docs/extending.md)."""
    rendered: RenderedConfig = field(default_factory=RenderedConfig)
    """The embedded benchmark."""
    root: Path | None = None
    """files: folder of one benchmark; it holds class-split/ and features/. folder: of clips."""
    features: str | None = None
    """files: folder under features/; needed where there are several."""
    split: Literal["main_split", "cls_split"] = "main_split"
    """files: folder under class-split/."""
    text_alignment: Literal["name", "legacy"] = "name"
    """files: word vectors joined by name, or shifted as in the widely used loaders."""
    max_seconds: int | None = None
    """files: of a longer clip the middle is kept; default: all of it."""
    lengths: Literal["pool", "cut"] = "pool"
    """files: sound and pictures of unequal length: average the longer one, or cut its end."""
    events: Literal["pixel", "feature"] = "pixel"
    """E_v from pixels (K bins a second), or from threshold crossings of the features (K = 1)."""
    feature_threshold: float = 0.2
    """C of the feature events, in log feature."""
    extract: FeatureConfig = field(default_factory=FeatureConfig)
    """folder: how features and events are taken from the clips."""
    vectors: Path | None = None
    """folder: file of word vectors (word2vec, GloVe, npz); default: made of the letters."""
    splits: Path | None = None
    """folder: csv with columns clip (CLASS/NAME.mp4) and part; default: drawn by split_seed."""
    split_seed: int = 0
    """folder: decides which classes are unseen, and which clips are for tests."""
    cache: Path | None = None
    """Folder of what is drawn or read once; default: $MDFT_CACHE, else ~/.cache/mdft."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range.

        What one source alone asks for, its entry in ``mdft.data.sources.SOURCES`` checks.
        """
        threshold = self.feature_threshold
        require(0 < threshold < math.inf, "feature_threshold", threshold, "a positive number")
        enough = self.max_seconds is None or self.max_seconds >= 1
        require(enough, "data.max_seconds", self.max_seconds, "at least 1")

    def absolute(self) -> DataConfig:
        """The same with absolute paths of what is read; the cache stays as it is."""
        paths = {name: getattr(self, name) for name in ("root", "vectors", "splits")}
        found = {name: path and path.resolve() for name, path in paths.items()}
        checkpoint = self.extract.checkpoint
        extract = replace(self.extract, checkpoint=checkpoint and checkpoint.resolve())
        return replace(self, **found, extract=extract)
