"""Events on a torch device equal those of the compiled kernels, byte for byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Noise, frames_to_bins, frames_to_events
from events.response import LUMAS
from mdft.errors import UserError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 7), st.integers(1, 9)),
    depth=st.sampled_from([2, 8, 256]),
    on=st.floats(0.01, 1),
    off=st.none() | st.floats(0.01, 1),
    luma=st.sampled_from(LUMAS),
)
def test_the_records_are_those_of_the_kernels(device, seed, shape, depth, on, off, luma):
    rng = np.random.default_rng(seed)
    frames = rng.integers(depth, size=shape, dtype=np.uint8)
    times = np.cumsum(rng.integers(1, 50_000, size=shape[0]))
    sensor = {"threshold": on, "threshold_off": off, "luma": luma}
    expected = frames_to_events(frames, times, **sensor)
    found = frames_to_events(frames, times, **sensor, device=device)
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 40), st.integers(1, 40)),
    start=st.integers(-600_000, 600_000),
    per_second=st.integers(1, 9),
    grid=st.integers(1, 16),
)
def test_the_bins_are_those_of_the_kernels(device, seed, shape, start, per_second, grid):
    rng = np.random.default_rng(seed)
    frames = rng.integers(256, size=shape, dtype=np.uint8)
    times = np.cumsum(rng.integers(1, 500_000, size=shape[0]))
    window = {"seconds": 2, "bins_per_second": per_second, "grid": grid, "start_us": start}
    expected = frames_to_bins(frames, times, threshold=0.05, **window)
    found = frames_to_bins(frames, times, threshold=0.05, **window, device=device)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "named, setting",
    [
        ("refractory_us", {"refractory_us": 5}),
        ("noise", {"noise": Noise(shot_hz=1.0)}),
        ("device", {"device": "nowhere"}),
    ],
)
def test_what_it_cannot_do_is_refused(named, setting):
    frames, times = np.zeros((2, 3, 3), np.uint8), np.array([0, 10])
    with pytest.raises(UserError, match=f"^{named}: found"):
        frames_to_events(frames, times, **{"device": "cpu", **setting})
