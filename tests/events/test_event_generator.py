"""The event generator against hand-computed events and invariants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tonic.io
from hypothesis import given, settings
from hypothesis import strategies as st

import events
from events.records import EVENTS
from tests.events.drawn import clips, pixel, plain

pytestmark = pytest.mark.rounding


def test_dtype_is_tonics() -> None:
    assert tonic.io.events_struct == EVENTS and EVENTS.itemsize == 13
    assert events.frames_to_events(pixel([1, 9]), np.array([0, 1])).dtype == EVENTS


def test_doubling_brightness_by_hand() -> None:
    # ln 2 / 0.2 = 3.47 steps; step k is crossed at 1000·0.2·k/ln 2 = 288.5, 577.1, 865.6 µs.
    found = events.frames_to_events(pixel([100, 200]), np.array([0, 1000]))
    assert plain(found) == [(0, 0, 289, 1), (0, 0, 577, 1), (0, 0, 866, 1)]


def test_memory_moves_by_whole_steps_and_the_way_back_ends_on_a_tie() -> None:
    # Down 3.47 steps: memory at −3. Back at the first level, m = 0: a tie, so step 0 fires too,
    # at the very end. Steps −2, −1, 0 at (3.4657 − 2, − 1, − 0)/3.4657 of the interval.
    found = events.frames_to_events(pixel([200, 100, 200]), np.array([0, 1000, 2000]))
    down = [(0, 0, 289, 0), (0, 0, 577, 0), (0, 0, 866, 0)]
    assert plain(found) == [*down, (0, 0, 1423, 1), (0, 0, 1711, 1), (0, 0, 2000, 1)]


@pytest.mark.parametrize("first,second", [(50, 100), (100, 50), (25, 50), (120, 240)])
def test_an_exact_tie_fires_in_both_directions(first: int, second: int) -> None:
    times = np.array([0, 10])
    polarity = int(second > first)
    found = events.frames_to_events(pixel([first, second]), times, threshold=math.log(2))
    assert plain(found) == [(0, 0, 10, polarity)]
    above = events.frames_to_events(pixel([first, second]), times, threshold=math.log(2) + 1e-7)
    assert len(above) == 0


def test_slow_drift_adds_up() -> None:
    # 100 … 149 in steps of one byte: never 0.2 between frames, ln 1.49 / 0.2 = 1.99 in all.
    found = events.frames_to_events(pixel(list(range(100, 150))), np.arange(50) * 1000)
    assert len(found) == 1
    # Level 1 is 100·e^0.2 = 122.14, between bytes 122 and 123.
    part = (math.log(100) + 0.2 - math.log(122)) / (math.log(123) - math.log(122))
    assert found["t"][0] == round(22_000 + 1000 * part)


def test_equal_times_come_in_raster_order() -> None:
    frames = np.stack([np.full((3, 4), 100, np.uint8), np.full((3, 4), 130, np.uint8)])
    found = events.frames_to_events(frames, np.array([0, 500]))
    assert len(set(found["t"].tolist())) == 1
    expected = [(x, y) for y in range(3) for x in range(4)]
    assert list(zip(found["x"].tolist(), found["y"].tolist(), strict=True)) == expected


@given(clips(), st.integers(0, 10**12))
@settings(max_examples=30, deadline=None)
def test_a_later_start_only_shifts_the_times(
    clip: tuple[np.ndarray, np.ndarray], shift: int
) -> None:
    frames, times = clip
    found = events.frames_to_events(frames, times)
    shifted = events.frames_to_events(frames, times + shift)
    found["t"] += shift
    assert np.array_equal(found, shifted)


@pytest.mark.parametrize("first,last", [(10, 255), (255, 10), (40, 90), (200, 17)])
def test_stamps_lie_within_a_microsecond_of_the_analytic_crossing(first: int, last: int) -> None:
    # L(t) = ln first + (t/T)·ln(last/first): L − L(0) = ±k·C at t = T·k·C/|ln(last/first)|.
    length = 40_000
    found = events.frames_to_events(pixel([first, last]), np.array([0, length]), threshold=0.1)
    contrast = abs(math.log(last / first))
    expected = [length * k * 0.1 / contrast for k in range(1, int(contrast / 0.1) + 1)]
    assert np.abs(found["t"] - np.array(expected)).max() <= 0.5 + 1e-6


def test_refractory_period_swallows_events_and_moves_the_memory() -> None:
    # Unrefractory: 289, 577, 866, then nothing (200 → 200), then −: the memory stands at +3.
    times = np.array([0, 1000, 2000, 3000])
    clip = pixel([100, 200, 200, 100])
    found = events.frames_to_events(clip, times, refractory_us=300)
    # 577 comes 288 µs after 289: swallowed; 866 comes 577 after it: out. Back down from 3.47:
    # steps 2, 1, 0 at 2000 + (1.4657, 2.4657, 3.4657)/3.4657 of 1000 = 2423, 2711, 3000.
    assert found["t"].tolist() == [289, 866, 2423, 3000]


def test_one_frame_and_a_still_clip_have_no_events() -> None:
    for frames in (pixel([7]), np.full((9, 5, 6), 200, np.uint8)):
        found = events.frames_to_events(frames, np.arange(len(frames)))
        assert found.shape == (0,) and found.dtype == EVENTS


@pytest.mark.parametrize(
    "change,says",
    [
        ({"frames": np.zeros((2, 3), np.uint8)}, r"frames: found uint8 \(2, 3\)"),
        ({"frames": np.zeros((2, 3, 4), np.float32)}, "frames: found float32"),
        ({"frames": np.zeros((2, 3, 4, 3), np.uint8)}, "rgb_to_luma"),
        ({"frames": np.zeros((2, 1, 40_000), np.uint8)}, "at most 32767"),
        ({"frames": np.zeros((0, 3, 4), np.uint8)}, "F, H, W ≥ 1"),
        ({"times_us": np.array([0])}, r"times_us: found int64 \(1,\)"),
        ({"times_us": np.array([0.0, 1.0])}, "times_us: found float64"),
        ({"times_us": np.array([5, 5])}, "frame 1 at 5 µs does not come after frame 0"),
        ({"threshold": 0.0}, "threshold: found 0.0"),
        ({"threshold": math.nan}, "threshold: found nan"),
        ({"threshold_off": -0.2}, "threshold_off: found -0.2"),
        ({"threads": 0}, "threads: found 0"),
        ({"times_us": np.array([0, 1 << 60])}, "cut the clip there"),
        ({"refractory_us": -1}, "refractory_us: found -1"),
        ({"luma": "rec709"}, "luma is 'rec709'"),
    ],
)
def test_mistakes_are_named_in_one_line(change: dict[str, Any], says: str) -> None:
    call: dict[str, Any] = {"frames": np.zeros((2, 3, 4), np.uint8), "times_us": np.arange(2)}
    with pytest.raises(events.UserError, match=says) as caught:
        events.frames_to_events(**(call | change))
    assert "\n" not in str(caught.value)


def test_a_chunk_must_continue_the_stream() -> None:
    sensor = events.Sensor()
    _, state = events.advance(np.zeros((1, 3, 4), np.uint8), np.array([10]), None, sensor)
    with pytest.raises(events.UserError, match="begins at 10 µs"):
        events.advance(np.zeros((1, 3, 4), np.uint8), np.array([10]), state, sensor)
    with pytest.raises(events.UserError, match="another sensor begins a new stream"):
        events.advance(np.zeros((1, 3, 4), np.uint8), np.array([20]), state, events.Sensor(0.3))
    with pytest.raises(events.UserError, match="one size"):
        events.advance(np.zeros((1, 4, 3), np.uint8), np.array([20]), state, sensor)
