"""``python -m mdft.features FOLDER OUT``: extract features and events from a folder of videos.

FOLDER holds one subfolder of videos per class. OUT becomes a data set in TCaF's layout with audio
features, visual features and event bins; train on it with
``python -m mdft.train folder --data.source files --data.root OUT``. A repeated call skips finished
clips; a clip that cannot be read is reported and skipped.
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
    """Extract features and events from a folder that has one subfolder of videos per class.

    Attributes:
        folder: folder with one subfolder of videos per class; its name is the class name.
        out: folder to write the data set to.
        features: feature networks and event camera.
        splits: CSV file with the columns clip (CLASS/NAME.mp4) and part; default: splits drawn at
            random from --split-seed.
        split_seed: seed that chooses the unseen classes and the test clips.
        vectors: file of word vectors (word2vec, GloVe, npz); default: vectors computed from the
            letters of the class names.
        jobs: number of clips processed at a time; -1: one per CPU core.
        engine: loky (processes), threading, sequential, or dask://HOST:PORT for a dask cluster
            whose workers can read the same folders.
        strict: refuse a clip with frames that cannot be decoded; otherwise they are skipped and
            counted, unless they are more than half.
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
    strict: bool = False


def main(command: Command) -> int:
    """Run the command; return 0, or 1 if a clip failed."""
    # Imported here: --help and a mistyped flag need no torch.
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
        strict=command.strict,
    )
    for note in found.notes:
        print(note)
    print(f"{len(found.clips)} clips of {len(found.classes)} classes in {command.out}")
    print(f"python -m mdft.train folder --data.source files --data.root {command.out}")
    return 1 if found.failed else 0


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.features")))
