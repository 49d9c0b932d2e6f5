"""The dense path, which makes no list of events, against counting the list."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import events
from events.response import log_table
from events.video.clip import Clip
from tests.events.drawn import clips, pixel, sensors


def counted(found: np.ndarray, shape: tuple[int, int], bins: int, k: int, start: int) -> np.ndarray:
    """Counts of a list, an event at a time."""
    out = np.zeros((bins, 2, *shape), dtype=np.int32)
    for x, y, t, p in found.tolist():
        b = (t - start) * k // 1_000_000
        if 0 <= b < bins:
            out[b, int(p), y, x] += 1
    return out


@given(
    clips(), sensors, st.sampled_from([1, 3, 8, 1000]), st.integers(-400_000, 400_000),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_counts_are_those_of_the_list(
    clip: tuple[np.ndarray, np.ndarray], sensor: dict[str, Any], k: int, lead: int
) -> None:
    frames, times = clip
    start = int(times[0]) + lead
    dense = events.frames_to_counts(
        frames, times, seconds=1, bins_per_second=k, start_us=start, **sensor
    )
    found = events.frames_to_events(frames, times, **sensor)
    assert dense.dtype == np.int32
    assert np.array_equal(dense, counted(found, frames.shape[1:], k, k, start))


def test_an_interval_longer_than_the_window_is_counted_inside_it() -> None:
    # From 0 to 4 s through 13.9 levels; the window is the third second, both ends lie outside.
    clip = pixel([10, 160])
    dense = events.frames_to_counts(
        clip, np.array([0, 4_000_000]), seconds=1, bins_per_second=2, start_us=2_000_000
    )
    found = events.frames_to_events(clip, np.array([0, 4_000_000]))
    listed = np.histogram(found["t"], bins=[2_000_000, 2_500_000, 3_000_000])[0]
    assert dense[:, 1, 0, 0].tolist() == listed.tolist() == [2, 2]


def test_on_less_off_is_the_move_of_the_memory() -> None:
    frames = np.random.default_rng(5).integers(0, 256, (7, 6, 70), dtype=np.uint8)
    dense = events.frames_to_counts(frames, np.arange(7) * 125_000, seconds=1)
    contrast = log_table("full")[frames] - log_table("full")[frames[0]]
    level = np.zeros(frames.shape[1:])
    for m in np.round(contrast / 0.2, 9):
        level = np.maximum(np.floor(m), np.minimum(level, np.ceil(m)))
    assert np.array_equal((dense[:, 1] - dense[:, 0]).sum(axis=0), level)


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "mmaction2_test.avi"])
def test_bins_are_those_of_the_list_on_real_clips(shared_data: Path, name: str) -> None:
    with Clip(shared_data / "clips" / name) as clip:
        shown = list(itertools.islice(clip, 60))
    frames, times = np.stack([f.luma for f in shown]), np.array([f.time_us for f in shown])
    size = (frames.shape[2], frames.shape[1], 2)
    for sensor in ({}, {"threshold_off": 0.3, "refractory_us": 5000}):
        bins = events.frames_to_bins(frames, times, seconds=3, **sensor)
        found = events.frames_to_events(frames, times, **sensor)
        assert bins.any() and np.array_equal(bins, events.pool(found, size, seconds=3))


def test_mistakes_are_named() -> None:
    call: dict[str, Any] = {"frames": np.zeros((2, 3, 4), np.uint8), "times_us": np.arange(2)}
    call["seconds"] = 1
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"seconds": 0}, "seconds: found 0"),
        ({"frames": np.zeros((2, 3), np.uint8)}, "frames: found"),
        ({"times_us": np.array([0, 1 << 60])}, "cut the clip there"),
        ({"threshold_off": 0.0}, "threshold_off: found 0.0"),
    ]
    for change, says in wrong:
        for work in (events.frames_to_counts, events.frames_to_bins):
            with pytest.raises(events.UserError, match=says):
                work(**(call | change))
