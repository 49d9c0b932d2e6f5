"""Scenes whose crossing times are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

import events

pytestmark = pytest.mark.rounding

C = 0.2


def test_an_exponential_ramp_over_many_frames() -> None:
    # I = 10·2^(t/T): its values at the frames are bytes, and L = ln I from 10 on is a straight
    # line over the whole clip: crossing k at k·C·T/ln 2.
    values, period = [10, 20, 40, 80, 160], 33_367
    frames = np.array(values, dtype=np.uint8).reshape(-1, 1, 1)
    found = events.frames_to_events(frames, np.arange(5) * period)
    expected = np.arange(1, int(4 * math.log(2) / C) + 1) * C * period / math.log(2)
    assert len(found) == len(expected) == 13 and found["p"].all()
    assert np.abs(found["t"] - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("threshold,off", [(0.2, 0.2), (0.13, 0.31)])
def test_a_moving_edge(threshold: float, off: float) -> None:
    # A step from 50 to 200 that moves a pixel a frame, there and back: pixel x brightens between
    # frames x and x + 1, level k at x + k·C/ln 4 of a frame; back, from its memory down.
    width, period = 24, 10_000
    there = [np.where(np.arange(width) < f, 200, 50) for f in range(width + 1)]
    frames = np.array([*there, *there[::-1]], dtype=np.uint8)[:, None, :]
    times = np.arange(len(frames)) * period
    found = events.frames_to_events(frames, times, threshold=threshold, threshold_off=off)
    contrast = math.log(4)
    ups = np.arange(1, int(contrast / threshold) + 1) * threshold
    downs = ups[-1] - np.arange(1, int(ups[-1] / off + 1e-9) + 1) * off
    for x in range(width):
        mine = found[found["x"] == x]
        on, back = mine[mine["p"]]["t"], mine[~mine["p"]]["t"]
        begin = (2 * width + 1 - x - 1) * period
        assert np.abs(on - period * (x + ups / contrast)).max() <= 0.5 + 1e-3
        assert np.abs(back - begin - period * (1 - downs / contrast)).max() <= 0.5 + 1e-3
        assert len(on) == len(ups) and len(back) == len(downs)


def test_a_sine_grating() -> None:
    # I = 130 + 100·sin(ωt + φ_x), 2,000 frames a period. L(t) = L(0) + k·C has the closed form
    # sin(ωt + φ) = (I₀·e^(kC) − 130)/100. A byte is off by up to half, so a crossing is off by up
    # to the time in which I moves by half a byte at each end: ½(1 + e^(kC))/|dI/dt|.
    columns, frames_a_period, period_us = 16, 2_000, 2_000_000
    t = np.arange(2 * frames_a_period) * (period_us / frames_a_period)
    phase = 2 * math.pi * np.arange(columns) / columns
    angle = 2 * math.pi * t[:, None] / period_us + phase
    frames = np.floor(130 + 100 * np.sin(angle) + 0.5).astype(np.uint8)[:, None, :]
    found = events.frames_to_events(frames, t.astype(np.int64), threshold=C)
    checked = 0
    for x in range(columns):
        start = 130 + 100 * math.sin(phase[x])
        mine = found[found["x"] == x]
        level = np.cumsum(np.where(mine["p"], 1, -1))
        for when, k, up in zip(mine["t"], level, mine["p"], strict=True):
            # An OFF event comes when L meets the level it moves the memory to, as an ON does.
            sine = (start * math.exp(k * C) - 130) / 100
            slope = 100 * math.sqrt(max(1 - sine**2, 0)) * 2 * math.pi / period_us
            if slope < 1e-4:  # at a crest a byte lasts for milliseconds
                continue
            rising = math.asin(sine)
            exact = rising if up else math.pi - rising
            turns = ((exact - phase[x]) / (2 * math.pi)) % 1
            error = (when / period_us - turns + 0.5) % 1 - 0.5
            assert abs(error) * period_us <= 0.5 * (1 + math.exp(k * C)) / slope + 1
            checked += 1
    assert checked > 0.8 * len(found) > 400


def test_a_flat_ramp_fires_where_it_has_added_up() -> None:
    # A byte every 100 frames: between two bytes L waits, then makes its step in one interval.
    values = np.repeat(np.arange(100, 151), 100)
    found = events.frames_to_events(
        values.astype(np.uint8).reshape(-1, 1, 1), np.arange(len(values)) * 1000
    )
    for k, when in enumerate(found["t"], start=1):
        byte = math.ceil(100 * math.exp(k * C))  # the first at or above level k
        part = (math.log(100) + k * C - math.log(byte - 1)) / math.log(byte / (byte - 1))
        assert abs(when - 1000 * ((byte - 100) * 100 - 1 + part)) <= 0.5 + 1e-3
    assert len(found) == int(math.log(1.5) / C)
