"""``python -m mdft.features FOLDER OUT``: clips become features and events to train on.

FOLDER holds one subfolder of clips a class. OUT becomes a benchmark in TCaF's layout, with event
bins beside sound and pictures: ``python -m mdft.train folder --data.source files --data.root OUT``.
Finished clips are not done again; a clip that cannot be read is named and skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from mdft.cli import parse, run_main
from mdft.config.features import FeatureConfig


@dataclass(frozen=True)
class Command:
    """Turn a folder of class-named subfolders of clips into features and events.

    Attributes:
        folder: one subfolder of clips a class.
        out: folder of the benchmark.
        features: the networks and the event camera.
        splits: csv with columns clip (CLASS/NAME.mp4) and part; default: drawn by --split-seed.
        split_seed: decides which classes are unseen, and which clips are for tests.
        vectors: file of word vectors (word2vec, GloVe, npz); default: made of the letters.
        jobs: clips at a time; -1 is one a core.
        engine: loky (processes), threading, sequential, or the dask cluster at dask://HOST:PORT,
            whose workers must see the same folders.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    features: Annotated[FeatureConfig, tyro.conf.arg(name="")] = field(
        default_factory=FeatureConfig
    )
    splits: Path | None = None
    split_seed: int = 0
    vectors: Path | None = None
    jobs: int = -1
    engine: str = "loky"


def main(command: Command) -> int:
    """The command line; 0, or 1 if a clip failed."""
    # Imported here: --help and a mistyped flag are answered without torch.
    from mdft.data.video.prepare import prepare

    found = prepare(
        command.folder,
        command.out,
        command.features,
        splits=command.splits,
        split_seed=command.split_seed,
        vectors=command.vectors,
        engine=command.engine,
        workers=command.jobs,
    )
    for note in found.notes:
        print(note)
    print(f"{len(found.clips)} clips of {len(found.classes)} classes in {command.out}")
    print(f"python -m mdft.train folder --data.source files --data.root {command.out}")
    return 1 if found.failed else 0


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.features")))
