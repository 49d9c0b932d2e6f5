"""The twenty lines of docs/data.md do what they say, and so does our own exporter."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdft.config.data import DataConfig
from mdft.data.dataset import ClipSet
from mdft.data.export import FEATURES, export
from mdft.data.files import benchmark
from tests.mdft.data.layouts import SMALL
from tests.mdft.small import random_clips

DOCS = Path(__file__).resolve().parents[3] / "docs" / "data.md"


def config(tmp_path: Path) -> DataConfig:
    return DataConfig(
        source="files", events="feature", root=tmp_path / "own", cache=tmp_path / "cache"
    )


def test_the_twenty_lines_convert_a_data_set(tmp_path: Path):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    place: dict[str, Any] = {}
    exec(code, place)
    rng = np.random.default_rng(0)
    clips = {
        part: {
            name: {
                f"{part} {name} {i}": (rng.random((i + 2, 5)), rng.random((i + 2, 7)))
                for i in range(count)
            }
            for name in names
        }
        for part, (names, count) in SMALL.items()
    }
    classes = sorted({name for names, _ in SMALL.values() for name in names})
    words = {name: rng.random(300) for name in classes}
    place["convert"](tmp_path / "own", clips, words)
    read = benchmark.load(config(tmp_path))
    given = {n: pair for found in clips.values() for c in found.values() for n, pair in c.items()}
    assert sorted(read.names) == sorted(given)
    for index, name in enumerate(read.names):
        rows, _ = read.rows(np.array([index]))
        for found, expected in zip((read.audio_MD, read.visual_MD), given[name], strict=True):
            assert np.array_equal(found[rows], expected.astype(np.float32))
    assert np.array_equal(read.words_CW, np.stack([words[c] for c in classes]).astype(np.float32))


@pytest.mark.parametrize("layout", ["tcaf", "avca"])
def test_what_we_export_is_what_we_read(layout: Any, tmp_path: Path):
    given = random_clips(ragged=True)
    export(given, tmp_path / "own", layout, fps=25)
    read = benchmark.load(replace(config(tmp_path), features=FEATURES[layout]))
    assert read.classes == given.classes and sorted(read.names) == sorted(given.names)
    where = np.array([given.names.index(name) for name in read.names])
    assert np.array_equal(read.labels_N, given.labels_N[where])
    for split, indices in read.splits.items():
        assert sorted(where[indices]) == sorted(given.splits[split])
    np.testing.assert_array_equal(read.words_CW, given.words_CW)
    for name in ("audio_MD", "visual_MD"):
        expected = [_of_clip(given, name, i) for i in where]
        if layout == "avca":
            expected = [f.mean(axis=0, keepdims=True) for f in expected]
        np.testing.assert_allclose(getattr(read, name), np.concatenate(expected), rtol=1e-6)


def _of_clip(clips: ClipSet, name: str, index: int) -> np.ndarray:
    rows, _ = clips.rows(np.array([index]))
    return getattr(replace(clips, scales={}), name)[rows].astype(np.float64)
