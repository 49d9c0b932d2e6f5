"""The counting sort of keys against NumPy's stable sort, and its records against their fields."""

from __future__ import annotations

import numpy as np
import pytest

from events.kernels.sorting import sort_intervals
from events.records import EVENTS, LARGEST_SIDE


def sort(lanes: list[list[np.ndarray]], times: np.ndarray, bits: int, width: int) -> np.ndarray:
    """Sort lanes of intervals of keys, all intervals in one call."""
    sizes = np.array([[len(keys) for keys in lane] for lane in lanes])
    starts = np.zeros((len(lanes), len(times)), dtype=np.int64)
    starts[:, 1:] = sizes.cumsum(axis=1)
    keys = np.zeros((len(lanes), max(1, int(starts[:, -1].max()))), dtype=np.int64)
    for lane, row in zip(lanes, keys, strict=True):
        row[: sum(map(len, lane))] = np.concatenate(lane)
    out = np.zeros(int(sizes.sum()), dtype=EVENTS)
    raw = out.view(np.uint8)
    sort_intervals(keys, starts, (0, len(times) - 1), times, bits, width, raw)
    return out


@pytest.mark.parametrize(
    "interval,events",
    [
        (1, 50), (127, 300), (400, 200), (1_000, 2_000), (40_000, 300), (40_000, 4_000),
        (40_000, 9_000), (1 << 17, 1 << 14), (1 << 22, 2_000), (1 << 21, (1 << 18) + 1),
        (1 << 45, 3_000),
    ],
)  # fmt: skip
def test_sort_is_a_stable_sort(interval: int, events: int) -> None:
    # Two lanes and two intervals, an empty one between them. Pixels number the keys, so that an
    # unstable sort is seen.
    rng = np.random.default_rng(interval)
    bits, width, half = 18, 300, events // 2
    lanes, expected = [[], []], []
    for _ in range(2):
        delay = rng.integers(0, interval, events, endpoint=True)
        delay[:3] = 0, interval, interval
        pixel, up = rng.integers(0, 1 << 17, events), rng.integers(0, 2, events)
        keys = delay << bits | pixel << 1 | up
        lanes[0] += [keys[:half], keys[:0]]
        lanes[1] += [keys[half:], keys[:0]]
        order = np.argsort(delay, kind="stable")
        expected.append((delay[order], pixel[order], up[order]))
    times = np.array([5, 5 + interval, 9 + interval, 9 + 2 * interval])
    found = sort([lane[:3] for lane in lanes], times, bits, width)
    for begin, start, (delay, pixel, up) in zip((0, events), times[::2], expected, strict=True):
        part = found[begin : begin + events]
        assert np.array_equal(part["t"], start + delay)
        assert np.array_equal(part["x"], pixel % width)
        assert np.array_equal(part["y"], pixel // width)
        assert np.array_equal(part["p"], up == 1)


@pytest.mark.parametrize("width", [1, 2, 3, 7, 640, 1279, 1280, 4095, 32766, LARGEST_SIDE])
def test_pixels_become_columns_and_rows_on_the_largest_frames(width: int) -> None:
    rows = np.arange(0, LARGEST_SIDE, 31)
    rows[-1] = LARGEST_SIDE - 1
    y, x = np.meshgrid(rows, [0, width // 2, width - 1], indexing="ij")
    pixel = np.unique((y * width + x).reshape(-1))
    bits = (LARGEST_SIDE * width - 1).bit_length() + 1
    found = sort([[pixel << 1]], np.array([0, 1]), bits, width)
    assert np.array_equal(found["x"], pixel % width)
    assert np.array_equal(found["y"], pixel // width)


def test_negative_and_large_times_are_written_whole() -> None:
    for start in (-(1 << 62), -70_000, -1, 0, 1 << 33, (1 << 62) + 12345):
        found = sort([[np.array([3 << 2, 300 << 2 | 1])]], np.array([start, start + 400]), 2, 1)
        assert found["t"].tolist() == [start + 3, start + 300]
        assert found["p"].tolist() == [False, True]
