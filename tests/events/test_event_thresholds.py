"""Separate thresholds for ON and OFF, and the quiet bands of bytes that they make."""

from __future__ import annotations

import math

import numpy as np
import pytest

import events
from events.kernels import emission
from events.response import LUMAS, MIN_THRESHOLD, log_table
from events.state import first_state, tables_of
from tests.events.drawn import pixel

pytestmark = pytest.mark.rounding


def walk(start: int, byte: int, up: float, down: float, log: np.ndarray) -> tuple[int, int]:
    """Net and OFF steps of a pixel that goes from byte `start` to `byte`, a step at a time."""
    contrast, net, offs = log[byte] - log[start], 0, 0
    while contrast >= up * (1 - 1e-9):
        contrast, net = contrast - up, net + 1
    while -contrast >= down * (1 - 1e-9):
        contrast, net, offs = contrast + down, net - 1, offs + 1
    return net, offs


@pytest.mark.parametrize("luma", LUMAS)
@pytest.mark.parametrize("up,down", [(MIN_THRESHOLD, MIN_THRESHOLD), (0.2, 0.2), (0.7, 0.11)])
def test_quiet_bands_are_the_inequality(luma: str, up: float, down: float) -> None:
    # From bytes to bytes. Silent then are the bytes with −down < L − memory < up, but the last
    # of either end may be called loud, which costs only a look.
    log = log_table(luma)
    sensor = events.Sensor(up, down, luma=luma)
    grid = np.mgrid[0:256:51, 0:256:17] if up < 0.01 else np.mgrid[0:256:5, 0:256:5]
    first, second = (a.reshape(-1).astype(np.uint8) for a in grid)
    state = first_state(first[None], 0, sensor)
    tables, pixels = tables_of(sensor), state.pixels
    steps, every = emission.no_steps(), np.arange(len(first), dtype=np.int32)
    emission.cross(every, second, first, pixels, tables, 0, 1e3, steps)
    emission.settle(every, steps, pixels, tables, 0)
    for i in range(len(first)):
        net, offs = walk(int(first[i]), int(second[i]), up, down, log)
        assert pixels.net[i] == net
        memory = log[first[i]] + net * up + offs * (up - down)
        level = log - memory
        silent = np.unique(log[(level < up * (1 - 1e-8)) & (level > -down * (1 - 1e-8))])
        found = np.unique(log[pixels.low[i] : int(pixels.high[i]) + 1])
        assert set(found) <= set(silent)
        assert set(found) >= set(silent[1:-1])


def test_one_threshold_twice_is_one_threshold() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (9, 8, 70), dtype=np.uint8)
    times = np.arange(9) * 999
    twice = events.frames_to_events(frames, times, threshold_off=0.2)
    assert np.array_equal(events.frames_to_events(frames, times), twice)


def test_two_thresholds_by_hand() -> None:
    # Up ln 2 = 0.693 at C_on 0.3: 0.3 and 0.6 fire, the memory is at +0.6. Down to the start at
    # C_off 0.25: 0.35 and 0.1 fire (0.6 − 0.25·j), the memory is at 0.1. Again up: 0.4 fires.
    times = np.array([0, 1000, 2000, 3000])
    found = events.frames_to_events(
        pixel([100, 200, 100, 200]), times, threshold=0.3, threshold_off=0.25
    )
    ln2 = math.log(2)
    expected = [
        (1000 * 0.3 / ln2, 1), (1000 * 0.6 / ln2, 1),
        (1000 + 1000 * (ln2 - 0.35) / ln2, 0), (1000 + 1000 * (ln2 - 0.1) / ln2, 0),
        (2000 + 1000 * 0.4 / ln2, 1),
    ]  # fmt: skip
    assert [(int(e["t"]), int(e["p"])) for e in found] == [(round(t), p) for t, p in expected]


def test_memory_of_two_thresholds_does_not_drift() -> None:
    # 20,000 swings between two bytes: as many events in the last swing as in the second.
    swing = pixel([100, 200] * 20_000)
    found = events.frames_to_events(
        swing, np.arange(40_000) * 1000, threshold=0.2, threshold_off=0.1
    )
    per_swing = np.bincount(found["t"] // 2000)
    assert np.abs(per_swing[2:-1] - per_swing[2]).max() <= 1
    on = np.count_nonzero(found["p"])
    # What goes up comes down: C_on·ON − C_off·OFF stays within one swing.
    assert abs(0.2 * on - 0.1 * (len(found) - on)) < math.log(2) + 0.2
