"""A folder of class-named subfolders of video files as a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mdft.config.data import DataConfig
from mdft.data import cache
from mdft.data.dataset import LETTERS, ClipSet, Provenance
from mdft.data.files import benchmark
from mdft.data.video.prepare import prepare


def load(config: DataConfig, progress: bool = True) -> ClipSet:
    """The clips of a folder: extracted now, or before, into a benchmark in the cache.

    Args:
        config: with ``source`` folder.
        progress: show bars, if stderr is a terminal.

    Raises:
        UserError: the folder is not as expected, no clip of it can be read, or the cache cannot
            be written. A clip that cannot be read is named on stderr and left out.
    """
    assert config.root is not None, "config.check() comes first"
    out = prepared_folder(config)
    found = prepare(
        config.root,
        out,
        config.extract,
        splits=config.splits,
        split_seed=config.split_seed,
        vectors=config.vectors,
        progress=progress,
    )
    files = replace(config, source="files", root=out, features=None, split="main_split")
    extract = config.extract
    provenance = Provenance(
        source="folder",
        features=extract.described(),
        checkpoint=str(extract.checkpoint or ""),
        words=LETTERS if config.vectors is None else config.vectors.name,
    )
    return replace(benchmark.load(files, progress), notes=found.notes, provenance=provenance)


def prepared_folder(config: DataConfig) -> Path:
    """Where the benchmark made of a folder of clips lies: named by folder and extraction."""
    assert config.root is not None, "config.check() comes first"
    root = config.root.resolve()
    name = cache.fingerprint({"root": str(root), "features": config.extract.described()})
    return cache.cache_folder(config.cache) / f"clips-{root.name}-{name[:32]}"
