"""The smallest embedded benchmark as video files, and configurations to train on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mdft.config.data import DataConfig
from mdft.config.features import of_rendered
from mdft.config.rendered import ClassCounts, RenderedConfig
from mdft.config.train import TrainConfig
from mdft.data.rendered.mp4 import CLIPS, SPLITS, WORDS, export_clips
from mdft.data.video.benchmark import prepared_folder
from mdft.data.video.prepare import prepare

COUNTS = ClassCounts(
    groups=4,
    seen_per_group=2,
    unseen_per_group=2,
    val_groups=1,
    test_groups=1,
    motions=4,
    clips_per_class=3,
    val_clips=1,
    test_clips=1,
)
RENDERED = RenderedConfig(counts=COUNTS, seconds=1, fps=16, size=32)


def in_memory(cache: Path) -> TrainConfig:
    """A run of seconds on the benchmark in memory."""
    data = DataConfig(rendered=RENDERED, cache=cache)
    return TrainConfig(data=data, epochs=2, batch_size=16, learning_rate=1e-3, device="cpu")


def on_clips(folder: Path) -> TrainConfig:
    """The same run on its video files, which :func:`prepared` writes."""
    out = folder / "exported"
    data = DataConfig(
        source="folder",
        root=out / CLIPS,
        extract=of_rendered(RENDERED),
        splits=out / SPLITS,
        vectors=out / WORDS,
        cache=folder / "cache",
    ).absolute()
    return replace(in_memory(folder / "cache"), data=data)


def prepared(folder: Path) -> None:
    """Write the video files, and read them with no worker processes."""
    export_clips(RENDERED, folder / "exported")
    data = on_clips(folder).data
    assert data.root is not None
    prepare(
        data.root,
        prepared_folder(data),
        data.extract,
        splits=data.splits,
        vectors=data.vectors,
        engine="sequential",
        apart=True,
    )
