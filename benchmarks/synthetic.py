"""Random clips of a benchmark's shape: the time of a training step does not depend on their values.

Features are standard normal and standardised again like those of files; a tenth of the event bins
has one event per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdft.data.dataset import EVENT_UNIT, ClipSet, Provenance, offsets_of
from mdft.data.scale import Scale


@dataclass(frozen=True)
class Shape:
    """The sizes of a data set; the default is UCF-GZSL with clips of ten seconds.

    Attributes:
        clips: the number of clips of ``stage_2_train``: training and both validation splits.
        test: the number of test clips.
        classes: the number of classes of all splits.
        seconds: the seconds T of every clip.
        bins: the event bins per second K; feature events have one.
        width: the width of both features and of the event channels.
        words: the width of the word vectors.
    """

    clips: int = 4994
    test: int = 1822
    classes: int = 51
    seconds: int = 10
    bins: int = 1
    width: int = 512
    words: int = 300


#: The provenance in the clips.
SOURCE = "synthetic"


def random_clips(shape: Shape) -> ClipSet:
    """Return a data set of this shape, with splits in the proportions of UCF-GZSL.

    Of 51 classes 30 are for training, 12 are unseen in validation and 9 in the test.

    Args:
        shape: the sizes, with at least three clips per class.
    """
    rng = np.random.default_rng(0)
    splits, labels_N = _splits(shape)
    rows = len(labels_N) * shape.seconds
    features = [rng.standard_normal((rows, shape.width), dtype=np.float32) for _ in range(2)]
    words_CW = rng.standard_normal((shape.classes, shape.words), dtype=np.float32)
    events_MKD = rng.integers(10, size=(rows, shape.bins, shape.width), dtype=np.uint8)
    np.equal(events_MKD, 0, out=events_MKD, casting="unsafe")
    events_MKD *= np.uint8(1 / EVENT_UNIT)
    scale = Scale(np.zeros(shape.width), np.ones(shape.width))
    return ClipSet(
        audio_MD=features[0],
        visual_MD=features[1],
        events_MKD=events_MKD,
        offsets_N1=offsets_of(np.full(len(labels_N), shape.seconds)),
        labels_N=labels_N,
        names=[f"clip_{i}" for i in range(len(labels_N))],
        classes=[f"class_{i:05}" for i in range(shape.classes)],
        words_CW=words_CW / np.linalg.norm(words_CW, axis=1, keepdims=True),
        splits=splits,
        scales={"audio": scale, "visual": scale},
        provenance=Provenance(SOURCE),
    )


def _splits(shape: Shape) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the clips of each split, and the class of every clip: classes alternate in a split."""
    seen, known = round(shape.classes * 30 / 51), round(shape.classes * 42 / 51)
    val_seen, val_unseen = round(shape.clips * 353 / 4994), round(shape.clips * 1467 / 4994)
    val_seen, val_unseen = max(val_seen, seen), max(val_unseen, known - seen)
    test_seen = max(round(shape.test * 555 / 1822), known)
    parts = {  # split → clips, its first class, the class after its last
        "stage_1_train": (shape.clips - val_seen - val_unseen, 0, seen),
        "val_seen": (val_seen, 0, seen),
        "val_unseen": (val_unseen, seen, known),
        "test_seen": (test_seen, 0, known),
        "test_unseen": (shape.test - test_seen, known, shape.classes),
    }
    labels, splits, start = [], {}, 0
    for name, (clips, first, last) in parts.items():
        assert clips >= last - first > 0, f"{shape}: {clips} clips of {last - first} classes"
        labels.append(first + np.arange(clips) % (last - first))
        splits[name] = np.arange(start, start + clips)
        start += clips
    splits["stage_2_train"] = np.arange(len(splits["stage_1_train"]) + val_seen + val_unseen)
    return splits, np.concatenate(labels)
