"""Writes benchmarks in the published formats, as the published tools write them."""

from __future__ import annotations

import csv
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mdft.config.data import DataConfig
from mdft.data.files import benchmark
from mdft.errors import UserError

#: Part → clips of each class, in the small benchmark.
SMALL = {
    "stage_1_train": (("b", "c", "D, d"), 4),
    "stage_1_val_seen": (("b", "c", "D, d"), 1),
    "stage_1_val_unseen": (("e", "nan"), 2),
    "stage_2_test_seen": (("b", "c", "D, d", "e", "nan"), 1),
    "stage_2_test_unseen": (("a", "none"), 2),
}

Clips = Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_avca(path: Path, names: Sequence[str], features: Sequence[np.ndarray]) -> None:
    """One class as AVCA writes it: averages over time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=[f.mean(axis=0) for f in features])
        file.create_dataset("video_urls", dtype="S80", data=[n.encode() for n in names])


def write_tcaf(path: Path, names: Sequence[str], features: Sequence[np.ndarray]) -> None:
    """One class as TCaF writes it: names as bytes, 25 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "features": list(features),
        "video_names": np.array([n.encode() for n in names], dtype="S80"),
        "fps": [25] * len(names),
    }
    path.write_bytes(pickle.dumps(content))


WRITERS = {".h5": write_avca, ".pkl": write_tcaf}


def write_class(features: Path, part: str, name: str, clips: Clips, suffix: str) -> None:
    """Both files of a class: clips by name → (audio (T, D), video (T, D))."""
    for i, kind in enumerate(("audio", "video")):
        path = features / kind / part / f"{name}{suffix}"
        WRITERS[suffix](path, list(clips), [pair[i] for pair in clips.values()])


def write_lists(root: Path, parts: Mapping[str, Sequence[str]], extra: Sequence[str] = ()) -> None:
    """The class lists and the csv of manual names: ``the`` before each name, some in capitals."""
    classes = sorted({name for names in parts.values() for name in names} | set(extra))
    folder = root / "class-split" / "main_split"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "all_class.txt").write_text("\n".join(classes) + "\n")
    for part, names in parts.items():
        (folder / f"{part}.txt").write_text("\n".join(names) + "\n")
    with (folder.parent / "own_w2v_class_names.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["original", "manual"])
        writer.writerows([name, f"the {name[::-1]}"] for name in classes)


def write_words(features: Path, names: Sequence[str], width: int = 300, seed: int = 0) -> None:
    """Random unit vectors of manual names."""
    rng = np.random.default_rng(seed)
    vectors = {n: rng.normal(size=width).astype(np.float32) for n in names}
    path = features / "text" / "word_embeddings_own_normed.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {n: v / np.linalg.norm(v) for n, v in vectors.items()}
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def write_small(
    root: Path, suffix: str = ".pkl", widths: tuple[int, int] = (6, 8), longest: int = 5
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A benchmark of seven classes of ragged clips; all clips by name."""
    rng = np.random.default_rng(0)
    parts = {part: names for part, (names, _) in SMALL.items()}
    write_lists(root, parts)
    everything = {}
    for part, (names, count) in SMALL.items():
        for name in names:
            clips = {}
            for i in range(count):
                T = int(rng.integers(1, longest + 1))
                pair = tuple(rng.normal(size=(T, w)).astype(np.float32) for w in widths)
                clips[f"{part} {name} {i}"] = pair
            write_class(root / "features" / "own", part, name, clips, suffix)
            everything |= clips
    classes = sorted({name for names in parts.values() for name in names})
    write_words(root / "features" / "own", [f"the {name[::-1]}" for name in classes])
    return everything


def copy_lists(shared: Path, dataset: str, root: Path) -> dict[str, str]:
    """The published class lists and word vectors of a benchmark; original → manual names."""
    source = shared / "avgzsl"
    shutil.copytree(source / dataset / "class-split", root / "class-split")
    text = root / "features" / "set" / "text"
    text.mkdir(parents=True)
    short = {"UCF": "ucf", "ActivityNet": "activity", "VGGSound": "vggsound"}[dataset]
    shutil.copy(source / "text" / f"word_embeddings_{short}_normed.npy", text)
    (names,) = (root / "class-split").glob("*_w2v_class_names.csv")
    with names.open(newline="") as file:
        return {row["original"]: row["manual"] for row in csv.DictReader(file)}


def files_config(root: Path, **changes: Any) -> DataConfig:
    """The configuration of a benchmark, its cache beside it."""
    cache_dir = root.parent / "cache"
    return DataConfig(
        **{"source": "files", "events": "feature", "root": root, "cache": cache_dir, **changes}
    )


def edit_pickle(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the content of a pickle; its names are a list then."""
    content = pickle.loads(path.read_bytes())
    content["video_names"] = content["video_names"].tolist()
    change(content)
    path.write_bytes(pickle.dumps(content))


def refused(root: Path, *named: str) -> None:
    """Reading fails in one line that holds ``named``, and leaves no cache behind."""
    with pytest.raises(UserError) as error:
        benchmark.load(files_config(root))
    message = str(error.value)
    assert all(part in message for part in named), message
    assert "\n" not in message
    cache = root.parent / "cache"
    assert not cache.exists() or not list(cache.iterdir())
