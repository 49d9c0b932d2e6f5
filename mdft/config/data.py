"""Configuration of the data: where clips come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mdft.config.features import FeatureConfig
from mdft.config.order import OrderConfig
from mdft.config.ranges import Count, Positive, check_ranges
from mdft.config.rendered import RenderedConfig

#: What a baseline is given.
Inputs = Literal["features", "features+events"]
#: What the systems are compared on.
Compared = Literal["features+events", "features", "whitened-features"]

#: Sources whose clips are a function of the configuration, not of files.
DRAWN = ("rendered", "order")


@dataclass(frozen=True)
class DataConfig:
    """Where the clips come from."""

    source: str = "rendered"
    """rendered: the embedded benchmark; order: the benchmark of order (docs/order.md); files:
    feature files in the layout of AVCA and TCaF (docs/data.md); folder: video files
    (docs/predict.md); or the name of your own source (docs/extending.md)."""
    rendered: RenderedConfig = field(default_factory=RenderedConfig)
    """rendered: parameters of the embedded benchmark."""
    order: OrderConfig = field(default_factory=OrderConfig)
    """order: parameters of the benchmark of order."""
    root: Path | None = None
    """files: the folder of one benchmark, with class-split/ and features/ in it. folder: the
    folder of clips, with one subfolder per class."""
    features: str | None = None
    """files: name of the folder under features/; required if there are several."""
    split: Literal["main_split", "cls_split"] = "main_split"
    """files: name of the folder under class-split/."""
    text_alignment: Literal["name", "legacy"] = "name"
    """files: name: join word vectors to classes by name; legacy: reproduce the misalignment of
    the widely used loaders."""
    max_seconds: Count | None = None
    """files, folder: keep only the middle of clips longer than this; default: keep whole clips."""
    lengths: Literal["pool", "cut"] = "pool"
    """files: if audio and visual features differ in length, average the longer sequence down to
    the shorter one (pool), or drop its end (cut)."""
    events: Literal["pixel", "feature"] = "pixel"
    """Event input E_v: pixel: events of the video's pixels, K bins per second; feature: threshold
    crossings of the visual features, K = 1."""
    inputs: Annotated[Inputs, tyro.conf.arg(aliases=["--inputs"])] = "features"
    """Input of a baseline: audio and visual features, or also E_v, beside the visual features of
    each event bin. MDFT has E_v in either case."""
    average: bool = False
    """Average the inputs of a baseline over the clip before they are standardised, as in AVCA's
    files; for baselines that average them anyway."""
    whiten: bool = False
    """Remove most of the correlation between features, after they are standardised: helps if
    features are all a model has (docs/data.md)."""
    feature_threshold: Positive = 0.2
    """Threshold C of the feature events, a difference of log features."""
    extract: FeatureConfig = field(default_factory=FeatureConfig)
    """folder: how features and events are extracted from the clips."""
    vectors: Path | None = None
    """folder: file of word vectors (word2vec, GloVe, npz); default: vectors computed from the
    letters of the class names."""
    splits: Path | None = None
    """folder: csv file with columns clip (CLASS/NAME.mp4) and part; default: a random split by
    split_seed."""
    split_seed: int = 0
    """folder: seed of the random split into seen and unseen classes, training and test clips."""
    cache: Path | None = None
    """Folder in which rendered clips and converted features are cached; default: $MDFT_CACHE,
    else ~/.cache/mdft."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range.

        Requirements of a single source are checked by its entry in ``mdft.data.sources.SOURCES``.
        """
        check_ranges(self)

    @property
    def drawn(self) -> RenderedConfig:
        """Parameters of the chosen rendered benchmark: those of order, or the embedded one's."""
        return self.order if self.source == "order" else self.rendered

    def absolute(self) -> DataConfig:
        """The same configuration with absolute input paths; the cache folder is not changed."""
        paths = {name: getattr(self, name) for name in ("root", "vectors", "splits")}
        found = {name: path and path.resolve() for name, path in paths.items()}
        checkpoint = self.extract.checkpoint
        extract = replace(self.extract, checkpoint=checkpoint and checkpoint.resolve())
        return replace(self, **found, extract=extract)
