"""A folder of class-named subfolders of video files as a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mdft.config.data import DataConfig
from mdft.data import cache
from mdft.data.dataset import ClipSet, Provenance
from mdft.data.files import benchmark


def load(config: DataConfig, progress: bool = True) -> ClipSet:
    """Load the clips of a folder; features are extracted on the first call and then cached.

    Args:
        config: a configuration whose ``source`` is folder.
        progress: show progress bars, if stderr is a terminal.

    Raises:
        UserError: the folder is not as expected, none of its clips can be read, or the cache
            cannot be written. A single clip that cannot be read is named on stderr and skipped.
    """
    # Other sources need no PyAV, which these import.
    from mdft.data.video.backbones import make_backbone
    from mdft.data.video.class_words import words_name
    from mdft.data.video.prepare import prepare

    assert config.root is not None, "config.check() comes first"
    found = prepare(
        config.root,
        prepared_folder(config),
        config.extract,
        splits=config.splits,
        split_seed=config.split_seed,
        vectors=config.vectors,
        progress=progress,
        apart=True,
        wait=True,
    )
    files = replace(config, source="files", root=found.root, features=None, split="main_split")
    extract = config.extract
    provenance = Provenance(
        source="folder",
        features=extract.described(),
        checkpoint=str(extract.checkpoint or ""),
        words=words_name(config.vectors, make_backbone(extract)),
    )
    return replace(benchmark.load(files, progress), notes=found.notes, provenance=provenance)


def prepared_folder(config: DataConfig) -> Path:
    """Path of the extracted clips in the cache; its name depends on folder and settings.

    Benchmarks of different splits and word vectors are in subfolders of it.
    """
    assert config.root is not None, "config.check() comes first"
    root = config.root.resolve()
    name = cache.fingerprint({"root": str(root), "features": config.extract.described()})
    return cache.cache_folder(config.cache) / f"clips-{root.name}-{name[:32]}"
