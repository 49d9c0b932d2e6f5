"""The event generator against hand-computed events, invariants, and its NumPy reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tonic.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import events
from events.generator import EVENTS, PixelState
from events.reference import frames_to_events_reference
from events.response import LUMAS, MIN_THRESHOLD, log_table, quiet_bands


def pixel(values: list[int]) -> np.ndarray:
    """A clip of one pixel."""
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1)


def plain(found: np.ndarray) -> list[tuple[int, ...]]:
    return [(int(e["x"]), int(e["y"]), int(e["t"]), int(e["p"])) for e in found]


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 45)))
    # Few distinct bytes make repeats, returns and equal times common.
    bytes_of = st.sampled_from([0, 1, 9, 10, 11, 50, 100, 200, 255]) | st.integers(0, 255)
    frames = draw(hnp.arrays(np.uint8, shape, elements=bytes_of))
    steps = draw(st.lists(st.integers(1, 50_000), min_size=shape[0], max_size=shape[0]))
    return frames, draw(st.integers(-(10**9), 10**12)) + np.cumsum(steps)


sensors = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([0.02, 0.2, math.log(2), 0.5]) | st.floats(0.01, 3.0),
        "refractory_us": st.sampled_from([0, 0, 1, 700, 60_000]),
        "luma": st.sampled_from(LUMAS),
    }
)


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


def test_a_level_that_repeats_does_not_stick() -> None:
    # Metavision's simulator stops a pixel for good when an 8-bit level repeats exactly.
    swing = [100, 200, 200, 200, 100, 100] * 5 + [100]
    found = events.frames_to_events(pixel(swing), np.arange(len(swing)) * 1000)
    assert len(found) == 5 * 6
    assert found["p"].reshape(5, 2, 3).all(axis=2).tolist() == [[True, False]] * 5


@given(clips(), sensors, st.data())
@settings(max_examples=40, deadline=None)
def test_a_pixel_does_not_depend_on_the_others(
    clip: tuple[np.ndarray, np.ndarray], sensor: dict[str, Any], data: st.DataObject
) -> None:
    # v2e stamps a pixel by how many steps the busiest pixel of the frame makes.
    frames, times = clip
    y = data.draw(st.integers(0, frames.shape[1] - 1))
    x = data.draw(st.integers(0, frames.shape[2] - 1))
    found = events.frames_to_events(frames, times, **sensor)
    mine = found[(found["x"] == x) & (found["y"] == y)]
    alone = events.frames_to_events(frames[:, y : y + 1, x : x + 1], times, **sensor)
    assert mine[["t", "p"]].tolist() == alone[["t", "p"]].tolist()


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
    # More than 20,000 events in an interval take the other radix; several passes at 2^40 µs.
    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 80), dtype=np.uint8)
    for times in (np.array([0, 33_333, 66_667]), np.array([0, 1 << 20, 1 << 40])):
        found = events.frames_to_events(frames, times, threshold=0.1)
        assert len(found) > 80_000
        expected = frames_to_events_reference(frames, times, threshold=0.1)
        assert np.array_equal(found, expected)


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


def test_a_clip_that_starts_at_100_seconds() -> None:
    # v2e's first events of such a clip are at 14 s.
    start = 100_000_000
    found = events.frames_to_events(pixel([100, 200]), np.array([start, start + 1000]))
    assert found["t"].tolist() == [start + 289, start + 577, start + 866]


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


@pytest.mark.parametrize("luma", LUMAS)
@pytest.mark.parametrize("threshold", [MIN_THRESHOLD, 0.2, 0.7])
def test_quiet_bands_are_the_inequality(luma: str, threshold: float) -> None:
    # Silent iff |L(y) − (L(y₀) + k·C)| < C, up to ties: checked where no tie is near.
    bands, log = quiet_bands(threshold, luma), log_table(luma)
    for first in (0, 3, 16, 128, 255):
        for column in range(0, bands.low.shape[1], 1 + bands.low.shape[1] // 50):
            k = int(bands.kmin[first]) + column
            if k > (log[255] - log[first]) / threshold:
                continue
            distance = np.abs(log - log[first] - k * threshold) / threshold
            clear = np.abs(distance - 1) > 1e-6
            y = np.arange(256)
            silent = (y >= bands.low[first, column]) & (y <= bands.high[first, column])
            assert np.array_equal(silent[clear], (distance < 1)[clear])


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
        ({"refractory_us": -1}, "refractory_us: found -1"),
        ({"luma": "rec709"}, "luma: found 'rec709'"),
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
    with pytest.raises(events.UserError, match="one size"):
        events.advance(np.zeros((1, 4, 3), np.uint8), np.array([20]), state, sensor)
