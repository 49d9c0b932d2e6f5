"""AVCA's and TCaF's loaders in few lines, to read what we write on their assumptions.

They do what ``UCFDataset`` does in both projects (src/dataset.py: ``class_to_idx``,
``get_data_by_modality``, ``read_dataset``; src/utils.py: ``read_features``,
``get_class_names``), with none of our code.
"""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import h5py
import numpy as np

FEATURES = {"avca": "main_features", "tcaf": "main_features_non_averaged"}
#: Their stage → our split.
STAGES = {
    "stage_1_train": "stage_1_train",
    "stage_1_val_seen": "val_seen",
    "stage_1_val_unseen": "val_unseen",
    "stage_2_train": "stage_2_train",
    "stage_2_test_seen": "test_seen",
    "stage_2_test_unseen": "test_unseen",
}
#: Their data set → the stages that it reads.
KINDS = {
    "train": ["stage_1_train"],
    "val": ["stage_1_val_seen", "stage_1_val_unseen"],
    "train_val": ["stage_1_train", "stage_1_val_seen", "stage_1_val_unseen"],
    "test": ["stage_2_test_seen", "stage_2_test_unseen"],
}


def their_classes(path: Path) -> list[str]:
    with path.open() as file:
        return sorted([line.strip() for line in file])


def class_to_idx(root: Path) -> dict[str, int]:
    names = their_classes(root / "class-split/all_class.txt")
    return {name.lower(): i for i, name in enumerate(names)}


def read_avca(path: Path) -> tuple[list[np.ndarray], list[str]]:
    with h5py.File(path, "r") as file:
        data, urls = file["data"], file["video_urls"]
        assert isinstance(data, h5py.Dataset) and isinstance(urls, h5py.Dataset)
        return list(data), [str(u, "utf-8") for u in list(urls)]


def read_tcaf(path: Path) -> tuple[list[np.ndarray], list[str]]:
    with path.open("rb") as file:
        content = pickle.load(file)
    assert content.keys() == {"features", "video_names", "fps"}
    assert all(type(fps) is int for fps in content["fps"])
    assert len(content["fps"]) == len(content["features"])
    return content["features"], [str(u) for u in list(content["video_names"])]


def their_split(
    root: Path, layout: str, modality: str, stages: list[str], features: str | None = None
):
    """Features, targets and names, in the order in which the folders list their files."""
    folder = root / "features" / (features or FEATURES[layout])
    data, targets, urls, index = [], [], [], class_to_idx(root)
    for stage in stages:
        for file in (folder / modality / stage).iterdir():
            found, names = (read_avca if layout == "avca" else read_tcaf)(file)
            data += found
            targets += [index[file.stem.lower()]] * len(found)
            urls += names
    return data, targets, urls


def their_words(root: Path, layout: str) -> tuple[np.ndarray, list[int]]:
    """Vectors in the order of the manual names, and the class that each is meant for."""
    path = root / "features" / FEATURES[layout] / "text/word_embeddings_ucf_normed.npy"
    raw = dict(sorted(np.load(path, allow_pickle=True).item().items()))
    with (root / "class-split/ucf_w2v_class_names.csv").open(newline="") as file:
        original = {row["manual"]: row["original"] for row in csv.DictReader(file)}
    index = class_to_idx(root)
    return np.stack(list(raw.values())), [index[original[key].lower()] for key in raw]
