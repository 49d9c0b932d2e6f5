"""Events as counts in bins, against Tonic's own transforms and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tonic

from mdft.config.recordings import RecordingsConfig, Transform
from mdft.data.recordings.frames import (
    RecordingError,
    checked,
    count,
    pooled_size,
    transformed,
)
from mdft.errors import UserError

DTYPE = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])


def some(count: int = 500, size: tuple[int, int] = (8, 6), seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    events = np.zeros(count, DTYPE)
    events["x"], events["y"] = (random.integers(0, side, count) for side in size)
    events["p"] = random.integers(0, 2, count)
    events["t"] = np.sort(random.integers(0, 50_000, count))
    events["t"][0] = 0
    return events


def test_bins_of_time_are_those_of_tonic():
    events, config = some(), RecordingsConfig(bins=5, bin_ms=10.0)
    frames = tonic.transforms.ToFrame(sensor_size=(8, 6, 2), time_window=10_000)(events)
    found, late = count(events, (8, 6), 2, config)
    # Tonic leaves the last bin out unless it is full.
    np.testing.assert_array_equal(found[: len(frames)], frames)
    assert found.sum() == len(events) and late == 0


def test_bins_of_events_are_those_of_tonic():
    events, config = some(), RecordingsConfig(bins=4, bin_events=100)
    frames = tonic.transforms.ToFrame(sensor_size=(8, 6, 2), event_count=100)(events)
    found, late = count(events, (8, 6), 2, config)
    np.testing.assert_array_equal(found, frames[:4])
    assert late == 100


def test_times_begin_at_the_first_event_and_late_events_are_counted():
    events = np.array([(0, 0, 7_000_000, 1), (1, 0, 7_001_000, 0), (1, 0, 7_002_000, 0)], DTYPE)
    found, late = count(events, (2, 1), 2, RecordingsConfig(bins=2, bin_ms=1.0))
    assert np.argwhere(found).tolist() == [[0, 1, 0, 0], [1, 0, 0, 1]] and late == 1


def test_counts_saturate():
    events = np.zeros(300, DTYPE)
    found, _ = count(events, (1, 1), 2, RecordingsConfig(bins=1))
    assert found.max() == 255


def test_a_sensor_without_rows_or_polarities():
    events = np.array([(0, 3, 1), (900, 5, 1)], [("t", int), ("x", int), ("p", int)])
    found, _ = count(events, (7, 1), 1, RecordingsConfig(bins=1, bin_ms=1.0))
    assert found.shape == (1, 1, 1, 7) and found.ravel().tolist() == [0, 0, 0, 1, 0, 1, 0]


def test_transforms_are_those_of_tonic():
    events = some()
    for transform, theirs in (
        (Transform("denoise", 1000), tonic.transforms.Denoise(filter_time=1000)),
        (Transform("pool", 2), tonic.transforms.Downsample(spatial_factor=0.5)),
    ):
        found = transformed(events, [transform], training=False, seed=0)
        assert 0 < len(found) <= len(events)
        np.testing.assert_array_equal(found, theirs(events))


@pytest.mark.parametrize("k", [3, 7, 49, 103])
def test_pooling_divides_pixels_as_integers(k: int):
    events = np.zeros(2000, DTYPE)
    events["x"] = np.arange(2000)
    found = transformed(events, [Transform("pool", k)], training=False, seed=0)
    np.testing.assert_array_equal(found["x"], np.arange(2000) // k)


def test_pooling_adds_the_counts_of_each_square():
    events, config = some(), RecordingsConfig(bins=2, bin_ms=25.1)
    whole, _ = count(events, (8, 6), 2, config)
    pooled = transformed(events, [Transform("pool", 2)], training=False, seed=0)
    found, _ = count(pooled, pooled_size((8, 6), [Transform("pool", 2)]), 2, config)
    expected = whole.reshape(2, 2, 3, 2, 4, 2).sum((3, 5))
    np.testing.assert_array_equal(found, expected)


def test_events_are_dropped_from_training_recordings_alone_and_reproducibly():
    events, drop = some(), [Transform("drop", 0.25)]
    state = np.random.get_state(legacy=True)
    found = [transformed(events, drop, training=True, seed=s) for s in (0, 0, 1)]
    assert [len(x) for x in found] == [375] * 3
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])
    assert transformed(events, drop, training=False, seed=0) is events
    assert str(np.random.get_state(legacy=True)) == str(state)


def test_faults_of_one_recording():
    with pytest.raises(RecordingError, match="a: no events in it"):
        checked("a", np.zeros(0, DTYPE), (8, 6), sort=False)
    for field, text in (("x", "x runs from 0 to 9, expected 0 to 7"), ("y", "y runs from 0 to 9")):
        events = some()
        events["x"][0] = events["y"][0] = 0
        events[field][1] = 9
        with pytest.raises(RecordingError, match=text):
            checked("a", events, (8, 6), sort=False)


def test_unsorted_times_need_to_be_expected():
    events = some()[::-1]
    with pytest.raises(UserError, match=r"times are not sorted.*--data.transform sort"):
        checked("a", events, (8, 6), sort=False)
    assert (np.diff(checked("a", events, (8, 6), sort=True)["t"]) >= 0).all()
