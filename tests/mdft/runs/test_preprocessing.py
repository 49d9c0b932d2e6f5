"""A clip that a run is given is prepared as the clips that it was trained on."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdft.data.sources import load_clips
from mdft.data.video.clip import ClipFeatures
from mdft.runs.preprocessing import (
    PREPROCESSING,
    preprocessing_of,
    read_preprocessing,
    write_preprocessing,
)
from mdft.runs.tensors import read_tensors, write_tensors
from tests.mdft.data.layouts import files_config, write_small

BINS = 2


def write_bins(features: Path) -> dict[str, np.ndarray]:
    """Random event bins of every clip; clip name → (T, K, 512) uint8."""
    rng, bins = np.random.default_rng(1), {}
    for audio in sorted((features / "audio").glob("*/*.pkl")):
        content = pickle.loads(audio.read_bytes())
        found = [rng.integers(0, 9, (len(f), BINS, 512), np.uint8) for f in content["features"]]
        bins |= dict(zip((name.decode() for name in content["video_names"]), found, strict=True))
        path = features / "events" / audio.relative_to(features / "audio")
        path.parent.mkdir(parents=True, exist_ok=True)
        flat = [x.reshape(len(x), -1) for x in found]
        path.write_bytes(pickle.dumps({**content, "features": flat}))
    return bins


@pytest.mark.parametrize("most", [None, 1, 2, 3, 60])
@pytest.mark.parametrize(
    "changes",
    [
        {"events": "pixel"},
        {"events": "feature"},
        {"events": "pixel", "inputs": "features+events"},
        {"events": "pixel", "average": True},
    ],
)
def test_a_clip_is_cut_as_in_training(tmp_path: Path, changes: dict[str, Any], most: int | None):
    """Every clip alone and whole, against the batch of the data set."""
    written = write_small(tmp_path / "bench")
    bins = write_bins(tmp_path / "bench/features/own")
    data = files_config(tmp_path / "bench", max_seconds=most, **changes)
    clips = load_clips(data)
    write_preprocessing(tmp_path, preprocessing_of(data, clips))
    context = read_preprocessing(tmp_path)
    assert max(map(len, bins.values())) == 5
    for i, name in enumerate(clips.names):
        expected = clips.batch(np.array([i]))
        found = context.batch([ClipFeatures(*written[name], bins[name], 25.0)])
        for field in ("audio_BTD", "visual_BTD", "events_BTKD"):
            values = (getattr(batch, field).numpy() for batch in (found, expected))
            np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-6)


def test_a_run_of_earlier_code_has_no_limit(tmp_path: Path):
    write_small(tmp_path / "bench")
    data = files_config(tmp_path / "bench", max_seconds=2)
    write_preprocessing(tmp_path, preprocessing_of(data, load_clips(data)))
    tensors, rest = read_tensors(tmp_path / PREPROCESSING)
    assert rest.pop("max_seconds") == 2
    write_tensors(tmp_path / PREPROCESSING, tensors, rest)
    assert read_preprocessing(tmp_path).max_seconds is None
