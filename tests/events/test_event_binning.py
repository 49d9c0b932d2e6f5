"""Pooling against plain loops and Tonic's ToFrame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tonic.transforms import ToFrame

import events
from events.records import EVENTS


def records(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array([(x, y, t, bool(p)) for x, y, t, p in rows], dtype=EVENTS)


def pool_by_loops(
    found: np.ndarray, width: int, height: int, seconds: int, k: int, grid: int, start: int
) -> np.ndarray:
    """The contract, one event and one cell at a time, in Python integers."""
    out = np.zeros((seconds, k, 2 * grid * grid), dtype=np.uint8)
    counts: dict[tuple[int, int], int] = {}
    for x, y, t, p in found.tolist():
        b = math.floor((t - start) * k / 1_000_000)
        if 0 <= b < seconds * k:
            channel = int(p) * grid * grid + (y * grid // height) * grid + x * grid // width
            counts[b, channel] = counts.get((b, channel), 0) + 1
    for (b, channel), count in counts.items():
        gy, gx = divmod(channel % (grid * grid), grid)
        area = sum(x * grid // width == gx for x in range(width)) * sum(
            y * grid // height == gy for y in range(height)
        )
        out[b // k, b % k, channel] = min(255, (32 * count + area) // (2 * area))
    return out


def test_by_hand() -> None:
    # 32x32 sensor: cells of 2x2. Three ON events in cell (gy 1, gx 2) of the last bin of
    # second 0: 16·3/4 = 12. One OFF event in cell (15, 15) of second 1's first bin: 4.
    found = records(
        [(4, 2, 875_000, 1), (5, 3, 999_999, 1), (4, 3, 900_000, 1), (31, 31, 10**6, 0)]
    )
    bins = events.pool(found, (32, 32, 2), seconds=2)
    assert bins.shape == (2, 8, 512) and bins.dtype == np.uint8
    assert bins[0, 7, 256 + 16 + 2] == 12 and bins[1, 0, 255] == 4
    assert bins.astype(int).sum() == 16


def test_bins_are_half_open_and_the_end_belongs_to_nothing() -> None:
    at = [124_999, 125_000, 999_999, 1_000_000, -1]
    bins = events.pool(records([(0, 0, t, 1) for t in at]), (16, 16, 2), seconds=1)
    assert bins[0, :, 256].tolist() == [16, 16, 0, 0, 0, 0, 0, 16]
    later = events.pool(records([(0, 0, 100, 0)]), (16, 16, 2), seconds=1, start_us=101)
    assert later.max() == 0


@pytest.mark.parametrize(
    "height,count,value",
    # Cells of 8x4 = 32 pixels: 16·count/32 = count/2; of 8x5 = 40: 16·count/40 = 0.4·count.
    [(64, 1, 1), (64, 2, 1), (64, 3, 2), (64, 509, 255), (64, 9999, 255), (80, 1, 0), (80, 4, 2)],
)
def test_sixteenths_round_half_up_and_saturate(height: int, count: int, value: int) -> None:
    found = records([(9, 0, i, 1) for i in range(count)])
    assert events.pool(found, (128, height, 2), seconds=1)[0, 0, 256 + 1] == value


@given(
    st.lists(
        st.tuples(
            st.integers(0, 36), st.integers(0, 20), st.integers(-10, 2_000_010), st.booleans()
        ),
        max_size=60,
    ),
    st.sampled_from([1, 3, 7, 8]),
    st.sampled_from([1, 5, 16]),
    st.sampled_from([0, -1_000, 333_333]),
)
@settings(max_examples=60, deadline=None)
def test_equals_plain_loops(
    rows: list[tuple[int, int, int, int]], k: int, grid: int, start: int
) -> None:
    found = records(rows)
    bins = events.pool(found, (37, 21, 2), seconds=2, bins_per_second=k, grid=grid, start_us=start)
    assert np.array_equal(bins, pool_by_loops(found, 37, 21, 2, k, grid, start))


def test_a_sensor_smaller_than_the_grid_leaves_cells_empty() -> None:
    bins = events.pool(records([(2, 2, 0, 1)]), (3, 3, 2), seconds=1)
    assert np.flatnonzero(bins).tolist() == [256 + 10 * 16 + 10]  # 2·16 // 3 = 10, area 1
    assert bins.max() == 16


def test_equals_tonics_to_frame() -> None:
    rng = np.random.default_rng(3)
    n = 5000
    found = np.empty(n, dtype=EVENTS)
    found["x"], found["y"] = rng.integers(0, 64, n), rng.integers(0, 48, n)
    found["t"], found["p"] = np.sort(rng.integers(0, 2_000_000, n)), rng.random(n) < 0.5
    # Tonic loses the last event at the very end of its window; none of ours is there.
    to_frame = ToFrame(
        sensor_size=(64, 48, 2), time_window=125_000, start_time=0, end_time=2_000_000
    )
    frames = to_frame(found).astype(np.int64)
    assert frames.shape == (16, 2, 48, 64) and frames.sum() == n
    cells = frames.reshape(16, 2, 16, 3, 16, 4).sum(axis=(3, 5)).reshape(2, 8, 512)
    expected = np.minimum(np.floor(16 * cells / 12 + 0.5), 255)
    assert np.array_equal(events.pool(found, (64, 48, 2), seconds=2), expected)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.just(17), st.just(20))),
    st.sampled_from([0.1, 0.2, 0.4]),
    st.sampled_from([0, 50_000]),
)
@settings(max_examples=30, deadline=None)
def test_frames_to_bins_is_the_composition(
    frames: np.ndarray, threshold: float, start: int
) -> None:
    times = np.arange(len(frames)) * 99_000
    bins = events.frames_to_bins(
        frames, times, seconds=1, grid=4, threshold=threshold, start_us=start
    )
    found = events.frames_to_events(frames, times, threshold=threshold)
    assert np.array_equal(bins, events.pool(found, (20, 17, 2), seconds=1, grid=4, start_us=start))
    assert np.array_equal(bins, pool_by_loops(found, 20, 17, 1, 8, 4, start))


def test_other_field_types_are_taken_by_name() -> None:
    wide = np.dtype([("t", "<u8"), ("p", "<i1"), ("y", "<u2"), ("x", "<u2")])
    found = np.array([(5, 1, 3, 2), (6, -1, 3, 2)], dtype=wide)
    same = records([(2, 3, 5, 1), (2, 3, 6, 0)])
    expected = events.pool(same, (16, 16, 2), seconds=1)
    assert np.array_equal(events.pool(found, (16, 16, 2), seconds=1), expected)


def test_mistakes_are_named() -> None:
    one = records([(20, 3, 5, 1)])
    with pytest.raises(events.UserError, match=r"x runs from 20 to 20, expected 0 to 15"):
        events.pool(one, (16, 32, 2), seconds=1)
    with pytest.raises(events.UserError, match="sensor_size"):
        events.pool(one, (32, 32, 1), seconds=1)
    with pytest.raises(events.UserError, match="seconds: found 0"):
        events.pool(one, (32, 32, 2), seconds=0)
    with pytest.raises(events.UserError, match="fields x, y, t, p"):
        events.pool(np.zeros(3, np.dtype([("x", "i2")])), (32, 32, 2), seconds=1)
    with pytest.raises(events.UserError, match=r"sensor_size: .*sides of at most 32767"):
        events.pool(one, (40_000, 32, 2), seconds=1)


@pytest.mark.parametrize(
    "kind,values,says",
    [
        ("<i2", [1, 2], "polarities run from 1 to 2, expected 1 for ON and 0 or -1 for OFF"),
        ("<i2", [1, -3], "polarities run from -3 to 1"),
        ("<i2", [0, -1], "polarities run from -1 to 0"),
        ("<f8", [1, np.nan], "p is float64, expected bool, or 1 for ON"),
        ("<U3", ["ON", "OFF"], "p is <U3, expected bool, or 1 for ON"),
    ],
)
def test_other_polarities_are_refused(kind: str, values: list[Any], says: str) -> None:
    found = np.zeros(2, np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", kind)]))
    found["p"] = values
    with pytest.raises(events.UserError, match=says):
        events.pool(found, (16, 16, 2), seconds=1)


def test_times_that_would_wrap_are_refused() -> None:
    found = np.zeros(1, np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "?")]))
    found["t"] = 2**64 - 5
    with pytest.raises(events.UserError, match="times run from 18446744073709551611"):
        events.pool(found, (16, 16, 2), seconds=1, start_us=-10)
