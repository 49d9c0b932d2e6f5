"""Export the embedded benchmark as video files, in the layout of a user's own clips.

OUT/clips/CLASS/CLASS_NNN.mp4; OUT/splits.csv with columns clip and part, the benchmark's own
splits; OUT/words.npz, the classes' word vectors.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mdft.config.rendered import RenderedConfig
from mdft.data.files.splits import PARTS
from mdft.data.progress import progress_bar
from mdft.data.rendered.classes import make_classes, make_splits, word_vectors
from mdft.data.rendered.mp4 import export_mp4

CLIPS, SPLITS, WORDS = "clips", "splits.csv", "words.npz"


def export_clips(config: RenderedConfig, folder: Path) -> int:
    """Write every clip of a benchmark as MP4 with sound, its splits and its word vectors.

    ``python -m mdft.train folder --data.root OUT/clips --data.splits OUT/splits.csv
    --data.vectors OUT/words.npz`` trains on them as on the benchmark itself, apart from the loss
    of the codecs.

    Args:
        config: parameters of the benchmark.
        folder: OUT, created if missing.

    Returns:
        The number of clips.

    Raises:
        UserError: a count is out of its range.
        OSError: the folder cannot be written.
    """
    classes = make_classes(config.seed, config.counts)
    count = config.counts.clips_per_class
    with progress_bar(True) as bar:
        paths: list[Path] = []
        for kind in bar.track(classes, description="writing clips"):
            paths += export_mp4(config, kind.name, folder / CLIPS / kind.name, tuple(range(count)))
    splits = make_splits(classes, config.counts)
    rows: list[Sequence[object]] = [("clip", "part")]
    for part in PARTS:
        rows += [(paths[i].relative_to(folder / CLIPS).as_posix(), part) for i in splits[part]]
    with (folder / SPLITS).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    words_CW = word_vectors(config.seed, classes, config.word_noise)
    np.savez(folder / WORDS, words=np.array([c.name for c in classes]), vectors=words_CW)
    return len(paths)
