"""What other event simulators get wrong, one test a defect: ours is right there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import events
from tests.events.drawn import clips, pixel, sensors

pytestmark = pytest.mark.rounding


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


def test_v2e_a_busy_neighbour_does_not_move_a_stamp() -> None:
    # The measured case: one crossing at 28.6 ms, stamped 4.29 ms beside a pixel that makes seven.
    # 100 → 100·e^(0.2·40/28.6) in 40 ms would cross 0.2 at 28.6 ms; byte 132: 0.2/ln 1.32·40 ms.
    expected = round(40_000 * 0.2 / math.log(1.32))
    for neighbour in (100, 100 * math.exp(-1.45)):
        frames = np.array([[[100, 100]], [[132, int(neighbour)]]], dtype=np.uint8)
        found = events.frames_to_events(frames, np.array([0, 40_000]))
        assert found["t"][found["x"] == 0].tolist() == [expected]
    assert np.count_nonzero(found["x"] == 1) == 7


def test_v2e_stamps_are_as_many_as_the_crossings() -> None:
    # v2e: 1.07 million events with 487 stamps. A clip whose pixels all cross at different times.
    rng = np.random.default_rng(0)
    frames = rng.integers(10, 256, (3, 40, 50), dtype=np.uint8)
    found = events.frames_to_events(frames, np.array([0, 10**7, 2 * 10**7]))
    assert len(np.unique(found["t"])) > 0.7 * len(found)


@pytest.mark.parametrize("start", [100_000_000, 10**12, 10**15])
def test_v2e_a_late_start_shifts_the_times_and_loses_no_digit(start: int) -> None:
    # v2e's first events of a clip that starts at 100 s are at 14 s; float32 seconds hold 24 bits.
    found = events.frames_to_events(pixel([100, 200]), np.array([start, start + 1000]))
    assert found["t"].tolist() == [start + 289, start + 577, start + 866]


def test_esim_red_green_and_blue_are_told_apart() -> None:
    # esim_py reads BGR as if it were RGB: red would weigh 0.114 and blue 0.299.
    red, blue = np.zeros((2, 1, 1, 1, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    assert events.rgb_to_luma(red).item() == round(0.299 * 255)
    assert events.rgb_to_luma(blue).item() == round(0.114 * 255)


def test_esim_every_column_is_read() -> None:
    # esim_py steps over colour bytes as if they were pixels: the left third, stretched.
    frames = np.full((2, 3, 90), 100, dtype=np.uint8)
    frames[1, 1, [0, 29, 30, 59, 60, 89]] = 130
    found = events.frames_to_events(frames, np.array([0, 1000]))
    assert sorted(found["x"].tolist()) == [0, 29, 30, 59, 60, 89]
    assert set(found["y"].tolist()) == {1}


def test_esim_the_first_frame_is_remembered_and_not_referred_to() -> None:
    # esim_py's reference aliases its first picture. Here the caller's array is overwritten.
    sensor, frames = events.Sensor(), pixel([100, 200])
    _, state = events.advance(frames[:1], np.array([0]), None, sensor)
    frames[0] = 200
    found, state = events.advance(frames[1:], np.array([1000]), state, sensor)
    assert found["t"].tolist() == [289, 577, 866]
    frames[1] = 7
    found, _ = events.advance(pixel([200]), np.array([2000]), state, sensor)
    assert len(found) == 0


def test_metavision_a_level_that_repeats_does_not_stick() -> None:
    # Metavision's simulator stops a pixel for good when an 8-bit level repeats exactly.
    swing = [100, 200, 200, 200, 100, 100] * 5 + [100]
    found = events.frames_to_events(pixel(swing), np.arange(len(swing)) * 1000)
    assert len(found) == 5 * 6
    assert found["p"].reshape(5, 2, 3).all(axis=2).tolist() == [[True, False]] * 5


def test_metavision_a_still_scene_leaks_if_told_to_and_only_then() -> None:
    still = np.full((101, 6, 7), 80, dtype=np.uint8)
    times = np.arange(101) * 20_000
    assert len(events.frames_to_events(still, times)) == 0
    found = events.frames_to_events(still, times, noise=events.Noise(leak_hz=3.5))
    # 2 s at 3.5 events a second: event k of every pixel at k/3.5 s.
    assert len(found) == 7 * 42 and found["p"].all()
    expected = np.repeat(np.arange(1, 8) * (1e6 / 3.5), 42)
    assert np.abs(found["t"] - expected).max() <= 0.5 + 1e-3


def test_evlib_events_lie_between_the_frames() -> None:
    # evlib gives every event the time of its frame.
    found = events.frames_to_events(pixel([20, 240, 20]), np.array([0, 50_000, 100_000]))
    inside = found["t"] % 50_000
    assert len(found) == 24 and np.count_nonzero(inside) == 23  # the last one is a tie at the end
    assert len(np.unique(found["t"])) == 24


def test_snntorch_a_slow_drift_is_seen() -> None:
    # snnTorch's delta compares neighbouring frames only: a slow drift never fires.
    import torch
    from snntorch import spikegen

    values = list(range(100, 200))
    log = torch.log(torch.tensor(values, dtype=torch.float64))
    assert spikegen.delta(log, threshold=0.2, padding=True, off_spike=True).abs().sum() == 0
    found = events.frames_to_events(pixel(values), np.arange(100) * 1000)
    assert len(found) == int(math.log(1.99) / 0.2) == 3
