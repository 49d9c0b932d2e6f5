"""Sensor noise: equal to the reference, reproducible, and as large as it says."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import events
from events.kernels.draws import draw, mix
from events.noise import Noise, thresholds
from events.reference import frames_to_events_reference, splitmix
from events.state import PixelState
from tests.events.drawn import clips, pixel, sensors

pytestmark = pytest.mark.rounding

# Events of the scene below, and the beginning of their SHA-256.
GOLDEN = (15826, "7dac9ed9552386a6")

noises = st.builds(
    Noise,
    seed=st.integers(0, 10**18),
    mismatch=st.sampled_from([0.0, 0.1, 0.6]),
    leak_hz=st.sampled_from([0.0, 0.1, 40.0]),
    shot_hz=st.sampled_from([0.0, 5.0, 200.0]),
    cutoff_hz=st.sampled_from([0.0, 3.0, 100.0]),
)


def still(frames: int, side: int, byte: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip of nothing, 10 ms a frame."""
    return np.full((frames, side, side), byte, dtype=np.uint8), np.arange(frames) * 10_000


@given(clips(), sensors, noises)
@settings(max_examples=80, deadline=None)
def test_product_equals_reference(
    clip: tuple[np.ndarray, np.ndarray], sensor: dict[str, Any], noise: Noise
) -> None:
    found = events.frames_to_events(*clip, **sensor, noise=noise)
    assert np.array_equal(found, frames_to_events_reference(*clip, **sensor, noise=noise))


@given(clips(), noises, st.data())
@settings(max_examples=30, deadline=None)
def test_chunks_give_the_events_of_one_call(
    clip: tuple[np.ndarray, np.ndarray], noise: Noise, data: st.DataObject
) -> None:
    frames, times = clip
    cut = data.draw(st.integers(1, len(frames)))
    sensor = events.Sensor(refractory_us=900, noise=noise)
    state: PixelState | None = None
    parts = []
    for begin, end in ((0, cut), (cut, len(frames))):
        if end > begin:
            part, state = events.advance(frames[begin:end], times[begin:end], state, sensor)
            parts.append(part)
    whole = events.frames_to_events(frames, times, refractory_us=900, noise=noise)
    assert np.array_equal(np.concatenate(parts), whole)


def test_draws_are_splitmix64() -> None:
    # The published first outputs for seed 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix(1234567, i) for i in range(3)] == published
    assert [int(draw(np.uint64(1234567), i)) for i in range(3)] == published
    assert int(mix(np.uint64(0))) == 0


def test_the_same_events_on_every_machine() -> None:
    # Integers and single roundings only: these bytes do not depend on the machine.
    y, x = np.mgrid[0:24, 0:32]
    frames = np.stack([(3 * x + 5 * y + 17 * f) % 256 for f in range(12)]).astype(np.uint8)
    noise = Noise(seed=7, mismatch=0.15, leak_hz=2.0, shot_hz=8.0, cutoff_hz=60.0)
    found = events.frames_to_events(frames, np.arange(12) * 16_667, noise=noise)
    assert (len(found), hashlib.sha256(found.tobytes()).hexdigest()[:16]) == GOLDEN


def test_no_noise_is_the_ideal_sensor() -> None:
    frames = np.random.default_rng(3).integers(0, 256, (5, 9, 70), dtype=np.uint8)
    times = np.arange(5) * 7_000
    ideal = events.frames_to_events(frames, times)
    assert np.array_equal(ideal, events.frames_to_events(frames, times, noise=Noise(seed=9)))
    # So slight a noise makes no event of its own, and takes the path of the noisy sensor.
    slight = events.frames_to_events(frames, times, noise=Noise(leak_hz=1e-9))
    assert len(slight) == len(ideal)
    assert np.abs(np.sort(slight["t"]) - np.sort(ideal["t"])).max() <= 1


def test_thresholds_vary_as_asked() -> None:
    """The draws are the same on every machine. 40,000 of them: the mean is within 4, the deviation
    within 5.7 and a correlation within 4 standard errors.
    """
    on, off = thresholds(Noise(seed=1, mismatch=0.1), 40_000, 0.2, 0.3)
    for found, mean in ((on, 0.2), (off, 0.3)):
        assert found.mean() == pytest.approx(mean, rel=0.002)
        assert found.std() == pytest.approx(0.1 * mean, rel=0.02)
    assert abs(np.corrcoef(on, off)[0, 1]) < 0.02
    assert abs(np.corrcoef(on[:-1], on[1:])[0, 1]) < 0.02
    wide, _ = thresholds(Noise(mismatch=2.0), 5_000, 0.2, 0.2)
    assert wide.min() == pytest.approx(0.02)
    # Another seed, other pixels.
    other, _ = thresholds(Noise(seed=2, mismatch=0.1), 40_000, 0.2, 0.3)
    assert abs(np.corrcoef(on, other)[0, 1]) < 0.02


def test_leak_comes_at_its_rate_whatever_the_threshold() -> None:
    frames, times = still(101, 12, 90)
    for noise in (Noise(leak_hz=20.5), Noise(leak_hz=20.5, mismatch=0.3)):
        found = events.frames_to_events(frames, times, noise=noise)
        assert len(found) == 20 * 144 and found["p"].all()


@pytest.mark.parametrize("byte,factor", [(0, 1.0), (255, 0.25)])
def test_shot_noise_comes_at_its_rate_and_is_darker_stronger(byte: int, factor: float) -> None:
    frames, times = still(101, 60, byte)
    found = events.frames_to_events(frames, times, noise=Noise(seed=4, shot_hz=20.0))
    expected = 20.0 * factor * 3600
    assert abs(len(found) - expected) < 5 * expected**0.5
    assert abs(np.count_nonzero(found["p"]) - expected / 2) < 5 * (expected / 4) ** 0.5
    # Uniform in time, within the intervals too.
    phases = np.histogram(found["t"] % 10_000, bins=10, range=(0, 10_000))[0]
    assert np.abs(phases - expected / 10).max() < 5 * (expected / 10) ** 0.5


def test_shot_noise_leaves_the_memory_alone() -> None:
    frames = np.random.default_rng(6).integers(0, 256, (4, 5, 6), dtype=np.uint8)
    times = np.arange(4) * 30_000
    ideal = events.frames_to_events(frames, times).tolist()
    noisy = events.frames_to_events(frames, times, noise=Noise(shot_hz=50.0)).tolist()
    assert len(noisy) > len(ideal) and set(ideal) <= set(noisy)


def test_low_pass_by_hand() -> None:
    # τ = Δt: α = ½. L steps by ln 4 = 1.386: f = 0.693, 1.040, 1.213, …: 3, 5, 6 levels of 0.2.
    cutoff = 1e6 / (2 * np.pi * 1000)
    found = events.frames_to_events(
        pixel([50, 200, 200, 200]), np.arange(4) * 1000, noise=Noise(cutoff_hz=cutoff)
    )
    assert np.bincount(found["t"] // 1000).tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    "wrong", [{"mismatch": -0.1}, {"leak_hz": float("nan")}, {"seed": -1}, {"seed": 0.5},
              {"shot_hz": float("inf")}],
)  # fmt: skip
def test_mistakes_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(events.UserError, match=f"^{next(iter(wrong))}: found"):
        events.Sensor(noise=Noise(**wrong))
