"""One set of events, however it is made: reference, chunks, threads, lanes; on real clips too."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import events
from events import generator
from events.noise import IDEAL
from events.reference import frames_to_events_reference
from events.state import PixelState
from events.video.clip import Clip
from tests.events.drawn import clips, sensors

pytestmark = pytest.mark.rounding


@given(clips(), sensors, st.data())
@settings(max_examples=60, deadline=None)
def test_chunks_give_the_events_of_one_call(
    clip: tuple[np.ndarray, np.ndarray], sensor: dict[str, Any], data: st.DataObject
) -> None:
    frames, times = clip
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(frames) - 1)))))
    state: PixelState | None = None
    parts = []
    for chunk, stamps in zip(np.split(frames, cuts), np.split(times, cuts), strict=True):
        if len(chunk):
            part, state = events.advance(chunk, stamps, state, events.Sensor(**sensor))
            parts.append(part)
    whole = events.frames_to_events(frames, times, **sensor)
    assert np.array_equal(np.concatenate(parts), whole)


@given(clips(), sensors)
@settings(max_examples=150, deadline=None)
def test_product_equals_reference(
    clip: tuple[np.ndarray, np.ndarray], sensor: dict[str, Any]
) -> None:
    product = events.frames_to_events(*clip, **sensor)
    assert np.array_equal(product, frames_to_events_reference(*clip, **sensor))
    assert np.all(np.diff(product["t"]) >= 0)


def test_product_equals_reference_when_an_interval_holds_many_events() -> None:
    # One, two and four passes of the sort, and keys that outgrow their first room.
    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 80), dtype=np.uint8)
    for times in (np.array([0, 700, 33_333]), np.array([0, 1 << 20, 1 << 40])):
        found = events.frames_to_events(frames, times, threshold=0.1)
        assert len(found) > 80_000
        expected = frames_to_events_reference(frames, times, threshold=0.1)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_give_the_events_of_one(threads: int) -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(90, 160, (7, 300, 500), dtype=np.uint8)
    times = np.cumsum(rng.integers(1, 50_000, 7))
    for noise in (IDEAL, events.Noise(seed=3, shot_hz=20, mismatch=0.1)):
        alone = events.frames_to_events(frames, times, noise=noise)
        found = events.frames_to_events(frames, times, noise=noise, threads=threads)
        assert len(alone) > 100_000 and np.array_equal(found, alone)


def test_several_lanes_and_chunks_give_the_events_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (9, 11, 40), dtype=np.uint8)
    times = np.arange(9) * 20_000
    expected = frames_to_events_reference(frames, times, threshold=0.05)
    # Lanes of two rows, chunks of one to three frames, keys that must grow in each.
    for lane, chunk in ((80, 500), (80, 1400), (1, 440), (10**6, 1)):
        monkeypatch.setattr(generator, "_LANE", lane)
        monkeypatch.setattr(generator, "_CHUNK", chunk)
        assert np.array_equal(events.frames_to_events(frames, times, threshold=0.05), expected)


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "mmaction2_test.avi", "mmaction2_part_0.mp4"])
def test_product_equals_reference_on_real_clips(shared_data: Path, name: str) -> None:
    with Clip(shared_data / "clips" / name) as clip:
        shown = list(itertools.islice(clip, 8, 32))
    frames, times = np.stack([f.luma for f in shown]), np.array([f.time_us for f in shown])
    for sensor in ({}, {"threshold": 0.13, "threshold_off": 0.31, "luma": "srgb"}):
        found = events.frames_to_events(frames, times, **sensor)
        assert len(found) > 2_000
        assert np.array_equal(found, frames_to_events_reference(frames, times, **sensor))
