"""The table of data sources, which ``--data.source`` names.

A new source is one function and one entry in the table (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from mdft.config.data import DataConfig
from mdft.config.features import of_rendered
from mdft.config.recipes import RECIPES
from mdft.data.dataset import ClipSet, Provenance
from mdft.data.files import benchmark as files
from mdft.data.rendered import benchmark as rendered
from mdft.data.standardise import (
    averaged_over_clips,
    standardised,
    whitened,
    with_events_as_features,
    with_feature_events,
)
from mdft.data.video import benchmark as folder
from mdft.errors import UserError, unknown


@dataclass(frozen=True)
class Source:
    """A data source.

    Attributes:
        name: its name in ``--data.source``.
        load: returns the clips of a configuration, standardised, with their
            :class:`mdft.data.dataset.Provenance`. Without provenance a run records only the name
            of the source, and ``mdft.predict`` then requires ``--backbone``.
        flags: fields of :class:`mdft.config.DataConfig` that apply to this source, besides those
            that apply to all; changing any other field is an error.
        check: raises a ``UserError`` if the configuration cannot be loaded; called before any file
            is read or written.
    """

    name: str
    load: Callable[[DataConfig], ClipSet]
    flags: tuple[str, ...] = ()
    check: Callable[[DataConfig], None] = lambda config: None

    def clips(self, config: DataConfig) -> ClipSet:
        """Load the clips of a configuration, with their provenance.

        Raises:
            UserError: a field or a file is not as expected, or the cache cannot be written.
            OSError: a file cannot be read, or the disk is full.
        """
        self.check(config)
        clips = self.load(config)
        if clips.provenance is None:
            return replace(clips, provenance=Provenance(self.name))
        return clips


def _load_rendered(config: DataConfig) -> ClipSet:
    """A rendered benchmark, rendered or from the cache."""
    clips = rendered.load(config.drawn, cache_dir=config.cache)
    if config.events == "feature":  # before standardisation: the logarithm needs values >= 0
        clips = with_feature_events(clips, config.feature_threshold)
    features = of_rendered(config.drawn).described()
    words = "the benchmark of order" if config.source == "order" else "the embedded benchmark"
    provenance = Provenance(config.source, features, words=words)
    return replace(standardised(clips), provenance=provenance)


def _check_root(config: DataConfig) -> None:
    if config.root is None:
        raise UserError(
            "--data.root is missing: for source files, give the folder of the benchmark, which "
            "contains class-split/ and features/ (docs/data.md); for source folder, the folder "
            "with a subfolder of clips per class"
        )


def _check_folder(config: DataConfig) -> None:
    config.extract.check()
    _check_root(config)


_FILES = ("root", "features", "split", "text_alignment", "max_seconds", "lengths")
_FOLDER = (
    *("root", "text_alignment", "max_seconds", "lengths"),
    *("extract", "vectors", "splits", "split_seed"),
)
#: Fields that apply to every source.
_COMMON = ("source", "inputs", "average", "whiten", "events", "feature_threshold", "cache")

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("rendered", _load_rendered, ("rendered",), lambda config: config.rendered.check()),
        Source("order", _load_rendered, ("order",), lambda config: config.order.check()),
        Source("files", files.load, _FILES, _check_root),
        Source("folder", folder.load, _FOLDER, _check_folder),
    )
}


def source_of(config: DataConfig) -> Source:
    """The source that a configuration names.

    Raises:
        UserError: no source has that name.
    """
    if config.source not in SOURCES:
        raise unknown("--data.source", config.source, SOURCES)
    return SOURCES[config.source]


def load_clips(config: DataConfig) -> ClipSet:
    """Load the clips of a data configuration from its source.

    Raises:
        UserError: as :meth:`Source.clips`, or no source has that name.
        OSError: as :meth:`Source.clips`.
    """
    config.check()
    clips = source_of(config).clips(config)
    if config.inputs == "features+events":
        clips = with_events_as_features(clips)
    if config.average:
        clips = averaged_over_clips(clips)
    return whitened(clips) if config.whiten else clips


def check_flags(data: DataConfig, recipe: DataConfig) -> None:
    """Check that every changed field applies to the chosen source.

    Args:
        data: the requested configuration.
        recipe: the configuration of the recipe.

    Raises:
        UserError: a flag would be ignored, such as --data.root without a recipe.
    """
    source = source_of(data)
    for name in (field.name for field in fields(DataConfig)):
        if name in source.flags + _COMMON or getattr(data, name) == getattr(recipe, name):
            continue
        sources = {other.name for other in SOURCES.values() if name in other.flags}
        recipes = [r for r, make in RECIPES.items() if make().data.source in sources]
        raise UserError(
            f"--data.{name.replace('_', '-')}: does not apply to --data.source {data.source}; "
            f"remove it, or use a recipe that supports it: {', '.join(recipes)}"
        )
