"""The published class lists and word vectors, with features of the right shapes beside them."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mdft.config.data import DataConfig
from mdft.data.files import benchmark
from mdft.data.files.splits import PARTS, read_splits
from mdft.data.files.words import read_words
from tests.mdft.data.layouts import copy_lists, write_class

#: shared/data/README.md: classes and clips of each part.
COUNTS = {
    "UCF": ((30, 3174), (30, 353), (12, 1467), (42, 555), (9, 1267)),
    "ActivityNet": ((99, 9204), (99, 1023), (51, 4307), (150, 1615), (50, 4199)),
    "VGGSound": ((138, 70351), (138, 7817), (69, 3102), (207, 9032), (69, 3450)),
}
STAGE_2 = {"UCF": (42, 4994), "ActivityNet": (150, 14534), "VGGSound": (207, 81270)}
CLS_UNSEEN = {"UCF": 6, "ActivityNet": 48, "VGGSound": 64}
LEGACY = {"UCF": (79, 101), "ActivityNet": (8, 200), "VGGSound": (205, 309)}


def listed(root: Path, stem: str, count: int) -> dict[str, list[str]]:
    """Clips of each class by its published csv; VGGSound's missing one is made up evenly."""
    path = root / "class-split" / "main_split" / f"{stem}.csv"
    if path.exists():
        found: dict[str, list[str]] = {}
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["label"], []).append(row["filename"])
        return found
    names = path.with_suffix(".txt").read_text().split("\n")
    names = [name for name in names if name]
    return {
        name: [f"{stem}-{i}-{j}" for j in range(i, count, len(names))]
        for i, name in enumerate(names)
    }


def write_features(root: Path, dataset: str, suffix: str, widths: tuple[int, int], T: int) -> None:
    """Constant features of each clip; stems in lower case, as those of UCF and ActivityNet are."""
    for stem, (_, count) in zip(PARTS.values(), COUNTS[dataset], strict=True):
        for label, names in listed(root, stem, count).items():
            pair = tuple(np.full((T, width), len(label), np.float32) for width in widths)
            clips = {name: pair for name in names}
            stem_of_file = label if dataset == "VGGSound" else label.lower()
            write_class(root / "features" / "set", stem, stem_of_file, clips, suffix)  # type: ignore


@pytest.mark.parametrize("dataset", COUNTS)
def test_every_class_and_clip_of_the_published_splits_is_read(
    dataset: str, shared_data: Path, tmp_path: Path
):
    root = tmp_path / dataset
    copy_lists(shared_data, dataset, root)
    write_features(root, dataset, ".h5", (3, 4), T=1)
    config = DataConfig(source="files", events="feature", root=root, cache=tmp_path / "cache")
    clips = benchmark.load(config)
    for part, expected in zip(PARTS, COUNTS[dataset], strict=True):
        assert (len(clips.classes_of(part)), len(clips.splits[part])) == expected, part
    both = clips.classes_of("stage_2_train"), clips.splits["stage_2_train"]
    assert tuple(map(len, both)) == STAGE_2[dataset]
    assert len(clips.classes) == LEGACY[dataset][1]
    assert f"legacy would misplace {LEGACY[dataset][0]} of" in clips.notes[0]
    lengths = np.array([len(name) for name in clips.classes])
    assert np.array_equal(clips.audio_MD[:, 0], lengths[clips.labels_N])

    fewer = read_splits(root, "cls_split").parts
    assert len(fewer["test_unseen"]) == CLS_UNSEEN[dataset]
    assert all(len(fewer[p]) == len(clips.classes_of(p)) for p in PARTS if p != "test_unseen")
    if dataset == "UCF":  # once through the files is enough
        cls = benchmark.load(replace(config, split="cls_split"))
        assert len(cls) == len(clips) - 1267 + 845
        assert len(cls.classes_of("test_unseen")) == CLS_UNSEEN[dataset]


def test_ucf_in_full_width_and_a_vector_a_second(shared_data: Path, tmp_path: Path):
    """C3D and VGGish widths, ragged pickles, a few of the published clips of every class."""
    root = tmp_path / "UCF"
    copy_lists(shared_data, "UCF", root)
    rng = np.random.default_rng(0)
    for stem, (_, count) in zip(PARTS.values(), COUNTS["UCF"], strict=True):
        for label, names in listed(root, stem, count).items():
            clips = {}
            for name in names[:2]:
                T = int(rng.integers(1, 8))
                pair = rng.random((T, 128), np.float32), rng.random((T, 4096), np.float32)
                clips[name] = pair
            write_class(root / "features" / "set", stem, label, clips, ".pkl")
    config = DataConfig(source="files", events="feature", root=root, cache=tmp_path / "cache")
    clips = benchmark.load(config)
    batch = clips.batch(np.arange(40))
    assert batch.audio_BTD.shape[2] == 128 and batch.visual_BTD.shape[2] == 4096
    assert batch.events_BTKD.shape[2:] == (1, 512)
    assert batch.events_BTKD.any() and batch.events_BTKD.abs().max() <= 1
    assert len(clips) == 2 * (30 + 30 + 12 + 42 + 9)


@pytest.mark.parametrize("dataset", COUNTS)
@pytest.mark.parametrize("split", ["main_split", "cls_split"])
def test_word_vectors_of_the_published_lists(
    dataset: str, split: str, shared_data: Path, tmp_path: Path
):
    """By name against numpy's own reader; legacy against the loaders' two lines."""
    root = tmp_path / dataset
    manual = copy_lists(shared_data, dataset, root)
    classes = read_splits(root, split).classes
    (names_csv,) = (root / "class-split").glob("*.csv")
    (vectors,) = (root / "features" / "set" / "text").iterdir()
    known = np.load(vectors, allow_pickle=True).item()
    words, (note,) = read_words([vectors], names_csv, classes, "name")
    assert all(np.array_equal(words[i], known[manual[c]]) for i, c in enumerate(classes))
    assert words.shape == (len(classes), 300) and words.dtype == np.float32

    legacy, (warned,) = read_words([vectors], names_csv, classes, "legacy")
    theirs = list(dict(sorted(known.items())).values())
    assert np.array_equal(legacy, np.stack(theirs))
    wrong, total = LEGACY[dataset]
    assert sum(not np.array_equal(a, b) for a, b in zip(words, legacy, strict=True)) == wrong
    assert f"{wrong} of {total} classes" in note and f"{wrong} of {total} classes" in warned
    assert "legacy alignment" in warned and "joined by name" in note


def test_the_txt_decides_where_the_csv_lists_more(shared_data: Path):
    """The published cls_split still lists BandMarching in its csv."""
    root = shared_data / "avgzsl" / "UCF"
    splits = read_splits(root, "cls_split")
    unseen = {splits.classes[i] for i in splits.parts["test_unseen"]}
    rows = listed(root.parent / "UCF", "stage_2_test_unseen", 0)
    assert "BandMarching" in rows and "BandMarching" not in unseen
    assert os.path.exists(root / "class-split" / "cls_split" / "stage_2_test_unseen.csv")
