"""How the generator shares out its work and its memory; the events stay those of the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import events
from events import generator
from events.reference import frames_to_events_reference
from events.state import first_state
from tests.events.drawn import pixel


@pytest.mark.parametrize(
    ("shape", "threads", "rows"),
    [
        ((480, 640), 1, [0, 96, 192, 288, 384, 480]),  # 4.7 lanes' worth of pixels
        ((480, 640), 2, [0, 80, 160, 240, 320, 400, 480]),
        ((512, 512), 1, [0, 128, 256, 384, 512]),  # four to the pixel
        ((10, 7), 3, [0, 3, 6, 10]),
        ((2, 640), 4, [0, 1, 2]),
        ((1, 1), 1, [0, 1]),
    ],
)
def test_a_frame_is_cut_into_whole_rows(shape: tuple[int, int], threads: int, rows: list[int]):
    expected = [(a * shape[1], b * shape[1]) for a, b in pairwise(rows)]
    assert generator._lanes(shape, threads) == expected


def swings(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A pixel that goes up and down; three events in each interval."""
    return pixel([100, 200] * count)[: count + 1], np.arange(count + 1) * 1000


@pytest.mark.parametrize(
    ("threads", "shares"),
    [
        (1, [(0, 4)]),
        (2, [(0, 2), (2, 4)]),
        (3, [(0, 2), (2, 3), (3, 4)]),  # four of the twelve events end in the second interval
        (8, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    ],
)
def test_each_thread_sorts_about_as_many_events(threads: int, shares: list[tuple[int, int]]):
    frames, times = swings(4)
    state = first_state(frames[0], 0, events.Sensor())
    finder = generator._Finder((1, 1), 4, threads)
    finder.find(frames[1:].reshape(4, 1), times, state, map)
    assert finder.starts.tolist() == [[0, 3, 6, 9, 12]] and finder.starts.dtype == np.int64
    found, jobs = generator._Records(40, 1), []

    def each(work: Callable, given: Iterable) -> Iterable:
        jobs.extend(given)
        return map(work, jobs)

    found.add(finder, times, state, threads, each)
    assert jobs == shares
    assert (found.done, found.count) == (4, 12)
    assert np.array_equal(found.all(), frames_to_events_reference(frames, times))
    assert found.array.base is None and len(found.array) == 12


def test_what_was_found_before_stays_when_room_grows():
    frames, times = swings(4)
    finder = generator._Finder((1, 1), 4, 1)
    state = first_state(frames[0], 0, events.Sensor())
    finder.find(frames[1:].reshape(4, 1), times, state, map)
    found = generator._Records(96, 1)
    for count in (12, 24, 36, 48):
        found.add(finder, times, state, 1, map)
        assert (found.done, found.count) == (count // 3, count) and len(found.array) >= count
    once = frames_to_events_reference(frames, times)
    assert np.array_equal(found.all(), np.tile(once, 4))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("noise", [events.Noise(), events.Noise(seed=3, shot_hz=200, mismatch=0.1)])
def test_lanes_chunks_and_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, threads: int, noise: events.Noise
):
    frames = np.random.default_rng(4).integers(0, 256, (6, 7, 20), dtype=np.uint8)
    times = np.array([5, 905, 1000, 40_000, 40_001, 90_000])
    sensor = {"threshold": 0.05, "threshold_off": 0.1, "refractory_us": 40, "noise": noise}
    expected = frames_to_events_reference(frames, times, **sensor)
    assert len(expected) > 1000 and {*expected["p"]} == {True, False}
    # Whole, in lanes of two rows, in chunks of one, two and three frames.
    for lane, chunk in ((1 << 16, 1 << 22), (40, 1), (40, 280), (1, 420)):
        monkeypatch.setattr(generator, "_LANE", lane)
        monkeypatch.setattr(generator, "_CHUNK", chunk)
        found = events.frames_to_events(frames, times, threads=threads, **sensor)
        assert np.array_equal(found, expected), (lane, chunk)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_thread_needs_no_pool_and_more_share_one(monkeypatch: pytest.MonkeyPatch, threads: int):
    said: list[str] = []

    class Pool(generator.ThreadPoolExecutor):
        def __init__(self, workers: int) -> None:
            said.append(f"{workers} threads")
            super().__init__(workers)

        def map(self, work: Callable, *given: Iterable, **options: Any) -> Iterator:
            said.append("work")
            return super().map(work, *given, **options)

    monkeypatch.setattr(generator, "ThreadPoolExecutor", Pool)
    assert len(events.frames_to_events(*swings(4))) == 12
    assert len(events.advance(*swings(4), None, events.Sensor())[0]) == 12
    assert said == []
    assert len(events.frames_to_events(*swings(4), threads=threads)) == 12
    # It finds, then sorts.
    assert said == [f"{threads} threads", "work", "work"] * (threads > 1)


def test_defaults_are_those_of_the_signature():
    sensor = events.Sensor(0.2, None, 0, "full", events.Noise())
    frames, _ = swings(9)
    times = np.arange(10)  # the three events of an interval in one µs: no dead time
    expected = events.advance(frames, times, None, sensor, threads=1)[0]
    assert len(expected) == 27
    assert np.array_equal(events.advance(frames, times, None, sensor)[0], expected)
    assert np.array_equal(events.frames_to_events(frames, times), expected)


def test_the_state_goes_on_where_the_chunk_ended():
    frames, times = swings(4)
    _, state = events.advance(frames[:3], times[:3], None, events.Sensor())
    assert (state.time_us, state.start_us, state.frames) == (2000, 0, 3)
    assert state.previous.tolist() == [100]
    rest, state = events.advance(frames[3:], times[3:], state, events.Sensor())
    assert np.array_equal(rest, frames_to_events_reference(frames, times)[6:])
    assert (state.time_us, state.start_us, state.frames) == (4000, 0, 5)
