"""Whatever is wrong with a benchmark's folders, lists and word vectors: one line that says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdft.data.files import benchmark
from mdft.errors import UserError
from tests.mdft.data.layouts import edit_pickle, files_config, refused, write_small

B = Path("features/own/audio/stage_1_train/b")


@pytest.fixture
def seconds(tmp_path: Path) -> Path:
    """A benchmark of pickles."""
    write_small(tmp_path / "bench", ".pkl")
    return tmp_path / "bench"


def remove(path: str) -> Callable[[Path], None]:
    return lambda root: (root / path).unlink()


def text(path: str, content: str | bytes) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def copy(source: str, target: str) -> Callable[[Path], None]:
    return lambda root: text(target, (root / source).read_bytes())(root)


def a_pipe(root: Path) -> None:
    (root / f"{B}.pkl").unlink()
    os.mkfifo(root / f"{B}.pkl")


def clip_in_two_parts(root: Path) -> None:
    edit_pickle(
        root / "features/own/audio/stage_2_test_seen/b.pkl",
        lambda c: c.update(video_names=[b"stage_1_train b 0"]),
    )
    edit_pickle(
        root / "features/own/video/stage_2_test_seen/b.pkl",
        lambda c: c.update(video_names=[b"stage_1_train b 0"]),
    )


def sound_only(root: Path) -> None:
    def drop(content: dict[str, Any]) -> None:
        content["video_names"].pop(0)
        content["features"].pop(0)

    edit_pickle(root / "features/own/video/stage_1_train/b.pkl", drop)


LISTS = "class-split/main_split/"
CSV = "class-split/own_w2v_class_names.csv"
TEXT = "features/own/text/word_embeddings_own_normed.npy"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (remove(f"{B}.pkl"), ["stage_1_train: no .pkl file for class 'b'"]),
        (copy(f"{B}.pkl", f"{str(B)[:-1]}B.pkl"), ["has the same class; remove one"]),
        (copy(f"{B}.pkl", f"{B}.h5"), ["found .h5 and .pkl"]),
        (a_pipe, ["b.pkl", "not a regular file"]),
        (clip_in_two_parts, ["stage_2_test_seen/b.pkl: clip 'stage_1_train b 0' is in", "too"]),
        (
            sound_only,
            ["audio/stage_1_train/b.pkl: clip 'stage_1_train b 0' is missing in", "video"],
        ),
        (text(f"{LISTS}stage_1_train.txt", "\n \n"), ["stage_1_train.txt", "contains no class"]),
        (text(f"{LISTS}stage_1_train.txt", b"\xff\xfe"), ["not UTF-8 text"]),
        (text(f"{LISTS}stage_1_train.txt", "b\nb\n"), ["'b' is listed twice"]),
        (text(f"{LISTS}stage_1_train.txt", "none1\n"), ["'none1' is not in", "mean 'none'?"]),
        (text(f"{LISTS}stage_1_val_seen.txt", "a\n"), ["'a' is not among the training"]),
        (text(f"{LISTS}stage_1_val_unseen.txt", "b\n"), ["'b' is a training class"]),
        (text(f"{LISTS}stage_2_test_seen.txt", "a\n"), ["'a' is not trained on in stage 2"]),
        (text(f"{LISTS}stage_2_test_unseen.txt", "e\n"), ["'e' is trained on in stage 2"]),
        (remove(f"{LISTS}stage_2_test_unseen.txt"), ["stage_2_test_unseen.txt: no such list"]),
        (remove("class-split/all_class.txt"), ["all_class.txt: no such list"]),
        (remove(CSV), ["found none, expected exactly one *_w2v_class_names.csv"]),
        (text(CSV, "original,other\nb,c\n"), ["columns original and manual"]),
        (text(CSV, ""), ["no row"]),
        (text(CSV, b"original,manual\nb,\xff\n"), ["not a csv file in UTF-8"]),
        (text(CSV, 'original,manual\n"b,c\n'), ["not a csv file"]),
        (text(CSV, "original,manual\nb,c\nb,d\n"), ["'b' has two names"]),
        (text(CSV, "original,manual\nb,c\n"), ["no row for class 'D, d'"]),
        (remove(TEXT), ["expected exactly one word_embeddings_*_normed.npy"]),
        (copy(TEXT, TEXT.replace("own_n", "two_n")), ["expected exactly one word_embeddings"]),
    ],
)
def test_a_bad_folder(seconds: Path, change: Callable[[Path], None], named: list[str]):
    change(seconds)
    refused(seconds, *named)


@pytest.mark.parametrize("folder", ["class-split", "features", "features/own/video"])
def test_a_missing_folder(seconds: Path, folder: str):
    (seconds / folder).rename(seconds.parent / "elsewhere")
    refused(seconds, str(seconds))


def test_no_folder_at_all(tmp_path: Path):
    refused(tmp_path / "nowhere", "--data.root", "nowhere: no such folder")


def test_all_classes_of_another_width(seconds: Path):
    """Each file is consistent, yet one class is wider than the first."""
    path = seconds / "features/own/video/stage_1_val_unseen/nan.pkl"
    edit_pickle(path, lambda c: c.update(features=[np.zeros((2, 9))] * 2))
    refused(seconds, str(path), "'stage_1_val_unseen nan 0' is 9 wide, expected 8 as in")


def vectors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = np.load(path, allow_pickle=True).item()
        np.save(path, np.array(change(content) or content, dtype=object), allow_pickle=True)

    return apply


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v.pop("the b") is None, ["no vector for 'the b' (class 'b' in"]),
        (
            lambda v: v.update({"the b": np.zeros(299, "f4")}),
            ["'the b' is (299,), expected (300,)"],
        ),
        (lambda v: v.update({"the b": np.full(300, np.nan)}), ["'the b' is not finite"]),
        (lambda v: v.update({"the b": np.full(300, 1e300)}), ["'the b' is not finite"]),
        (
            lambda v: v.update({"the b": np.zeros(300, "f4")}),
            ["'the b' (class 'b' in", "is all zeros"],
        ),
        (lambda v: v.update({"the b": "x"}), ["'the b' is not an array of floats"]),
        (lambda v: {"a": os.system}, ["posix.system"]),
        (lambda v: [1, 2], ["expected one pickled dict"]),
    ],
)
def test_bad_word_vectors(seconds: Path, change, named: list[str]):
    vectors(change)(seconds / TEXT)
    refused(seconds, TEXT, *named)


def test_a_cache_folder_that_cannot_be_one(seconds: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "in it", Path("/proc/none")):
        with pytest.raises(UserError, match=f"cache folder {folder}: .*--data.cache"):
            benchmark.load(files_config(seconds, cache=folder))


def test_files_that_macos_leaves_beside_copied_ones_are_passed_over(seconds: Path):
    expected = benchmark.load(files_config(seconds))
    for name in (CSV, TEXT, f"{B}.pkl", f"{LISTS}stage_1_train.txt"):
        path = seconds / name
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    found = benchmark.load(files_config(seconds))
    assert found.names == expected.names and found.classes == expected.classes
    np.testing.assert_array_equal(found.words_CW, expected.words_CW)


def test_legacy_needs_a_vector_a_class(seconds: Path):
    vectors(lambda v: v.update({"zzz": np.zeros(300, "f4")}))(seconds / TEXT)
    with pytest.raises(UserError, match="8 vectors for 7 classes"):
        benchmark.load(files_config(seconds, text_alignment="legacy"))
