"""Whatever is wrong with a feature file: one line that names the file and the clip."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mdft.data.files.readers import read_averaged
from mdft.errors import UserError
from tests.mdft.data.layouts import edit_pickle, refused, write_small

B = Path("features/own/audio/stage_1_train/b")


@pytest.fixture
def seconds(tmp_path: Path) -> Path:
    """A benchmark of pickles."""
    write_small(tmp_path / "bench", ".pkl")
    return tmp_path / "bench"


@pytest.fixture
def averaged(tmp_path: Path) -> Path:
    """A benchmark of h5 files."""
    write_small(tmp_path / "bench", ".h5")
    return tmp_path / "bench"


def put(i: int, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["features"].__setitem__(i, value)


def with_nan(content: dict[str, Any]) -> None:
    content["features"][1][0, 2] = np.nan


NAME = "'stage_1_train b 1'"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (with_nan, [NAME, "nan at second 0, feature 2"]),
        (put(1, np.full((2, 6), np.inf)), [NAME, "inf"]),
        (put(1, np.full((2, 6), 1e300)), [NAME, "1e+300"]),
        (put(1, np.zeros((2, 7))), [NAME, "7 wide", "expected 6"]),
        (put(1, np.zeros((1, 2, 6))), [NAME, "(1, 2, 6)", "expected numbers (T, D)"]),
        (put(1, np.zeros((0, 6))), [NAME, "(0, 6)"]),
        (put(1, np.zeros((2, 6), dtype="S3")), [NAME, "|S3"]),
        (put(1, np.zeros((2, 6), dtype="?")), [NAME, "bool"]),
        (put(1, None), [NAME, "NoneType"]),
        (put(1, [[0.0] * 6]), [NAME, "list"]),
        (lambda c: c["video_names"].__setitem__(1, b"stage_1_train b 0"), ["b 0' is listed twice"]),
        (lambda c: c["video_names"].__setitem__(1, b"\xff"), ["name 1 is not UTF-8"]),
        (lambda c: c["video_names"].__setitem__(1, 7), ["name 1 is 7"]),
        (lambda c: c["video_names"].pop(), ["3 clip names for the features of 4"]),
        (lambda c: c.pop("features"), ["video_names, fps", "expected a dict of features"]),
        (lambda c: c.update(features="x"), ["features is str"]),
        (lambda c: c.update(features=[], video_names=[]), ["contains no clip"]),
        (lambda c: c.update(features=[np.zeros((4000, 6))] * 9), ["come to", "at most"]),
        (lambda c: c["features"].append(os.system), ["posix.system"]),
    ],
)
def test_a_bad_pickle(seconds: Path, change, named: list[str]):
    path = seconds / f"{B}.pkl"
    edit_pickle(path, change)
    refused(seconds, str(path), *named)


def test_a_cut_pickle(seconds: Path):
    path = seconds / f"{B}.pkl"
    path.write_bytes(path.read_bytes()[:-50])
    refused(seconds, str(path), "damaged or not a pickle")


def rewrite(name: str, **changes: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **changes)

    return change


def link(kind: Any, *arguments: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["data"]
        file["data"] = kind(*arguments)

    return change


def elsewhere(file: h5py.File) -> None:
    """Data in a raw file beside this one."""
    del file["data"]
    raw = Path(file.filename).with_name("raw.bin")
    raw.write_bytes(bytes(96))
    file.create_dataset("data", (4, 6), "f4", external=[(str(raw), 0, 96)])


def virtual(file: h5py.File) -> None:
    del file["data"]
    layout = h5py.VirtualLayout((4, 6), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (4, 6))
    file.create_virtual_dataset("data", layout)


def nan_in_h5(file: h5py.File) -> None:
    file["data"][1, 2] = np.nan  # type: ignore[index]


def twice(file: h5py.File) -> None:
    file["video_urls"][1] = b"stage_1_train b 0"  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (link(h5py.ExternalLink, "/etc/passwd", "data"), ["'data' is a ExternalLink"]),
        (link(h5py.SoftLink, "/video_urls"), ["'data' is a SoftLink"]),
        (elsewhere, ["keeps its data in another file"]),
        (virtual, ["keeps its data in another file"]),
        (nan_in_h5, [NAME, "nan"]),
        (twice, ["'stage_1_train b 0' is listed twice"]),
        (rewrite("data", data=np.zeros((4, 7))), ["7 wide", "expected 6"]),
        (rewrite("data", data=np.zeros((3, 6))), ["data has 3 rows, video_urls 4"]),
        (rewrite("data", data=np.zeros((4, 6, 1))), ["(4, 6, 1)", "expected 2 axes"]),
        (rewrite("data", data=np.zeros((4, 6), complex)), ["complex128"]),
        (rewrite("data", data=[b"x"] * 4), ["expected 2 axes of numbers"]),
        (rewrite("video_urls", data=np.zeros(4)), ["float64", "strings"]),
        (
            rewrite("data", shape=(1 << 40, 6), dtype="f4", chunks=(64, 6)),
            ["declares (1099511627776, 6)", "and holds 0"],
        ),
        (
            rewrite("data", data=np.zeros((1 << 22, 6), "f4"), compression="gzip"),
            ["declares (4194304, 6)"],
        ),
        (lambda file: file.__delitem__("data"), ["no dataset 'data', found video_urls"]),
        (lambda file: file.move("data", "other"), ["found other, video_urls"]),
    ],
)
def test_a_bad_h5(averaged: Path, change, named: list[str]):
    path = averaged / f"{B}.h5"
    with h5py.File(path, "a") as file:
        change(file)
    refused(averaged, str(path), *named)


def test_a_group_in_the_place_of_a_dataset(averaged: Path):
    path = averaged / f"{B}.h5"
    with h5py.File(path, "a") as file:
        del file["data"]
        file.create_group("data")
    refused(averaged, str(path), "'data' is a Group")


@pytest.mark.parametrize("length", [0, 4, 700, -40])
def test_a_cut_h5(averaged: Path, length: int):
    path = averaged / f"{B}.h5"
    path.write_bytes(path.read_bytes()[:length])
    refused(averaged, str(path))


def test_every_cut_of_an_h5_is_refused(averaged: Path):
    path = averaged / f"{B}.h5"
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=str(path)):
            read_averaged(path)
