"""One interval of the model against a walk of one pixel, level by level."""

from __future__ import annotations

import numpy as np
import pytest

from events.crossings import Crossings, Memory, awake, cross, start

pytestmark = pytest.mark.rounding

Row = tuple[float, float, int, int, float, float]  # x₀, x₁, net, offs, C_on, C_off


def walked(row: Row, interval: int) -> tuple[list[tuple[float, bool]], int, int]:
    """Times, µs, and polarities of a pixel's events on the straight line; net and offs after."""
    x0, x1, net, offs, on, off = row
    found = []
    level = net * on + offs * (on - off)
    up = x1 > level
    while (x1 - level >= on * (1 - 1e-9)) if up else (level - x1 >= off * (1 - 1e-9)):
        level += on if up else -off
        net, offs = (net + 1, offs) if up else (net - 1, offs + 1)
        found.append(((level - x0) / (x1 - x0) * interval, up))
    return found, net, offs


ROWS: list[Row] = [
    (0.0, 0.5, 0, 0, 0.2, 0.2),  # two ON
    (0.0, -0.75, 0, 0, 0.2, 0.3),  # two OFF
    (0.5, 0.5, 1, 0, 0.4, 0.3),  # silent, and still
    (0.75, 0.25, 2, 0, 0.3, 0.25),  # one OFF from a memory above
    (0.25, 1.5, 3, 4, 0.3, 0.5),  # a memory that OFF events have moved
    (-1.0, 2.0, -4, 4, 0.25, 0.25),  # twelve ON
    (0.1, 0.35, 0, 0, 0.36, 0.1),  # nearly
    (-0.1, -0.35, 0, 0, 0.1, 0.36),
    (0.0, 0.0, 0, 0, 0.2, 0.2),
    (0.0, 9.0, 1, 1, 1.5, 1.5),
]


def of_rows(rows: list[Row], interval: int) -> tuple[Crossings, Memory]:
    x0, x1, net, offs, on, off = (np.array(column) for column in zip(*rows, strict=True))
    return cross(x0, x1, interval, Memory(net.astype(int), offs.astype(int)), on, off)


@pytest.mark.parametrize("interval", [1, 1000, 33_367])
def test_an_interval_is_that_of_each_pixel_walked(interval: int) -> None:
    events, memory = of_rows(ROWS, interval)
    at = 0
    for pixel, row in enumerate(ROWS):
        expected, net, offs = walked(row, interval)
        assert (memory.net[pixel], memory.offs[pixel]) == (net, offs), row
        for when, up in expected:
            assert (events.pixel[at], events.up[at]) == (pixel, up), row
            assert abs(events.delay[at] - min(when, interval)) <= 0.5 + 1e-6, row
            at += 1
    assert at == len(events.pixel) == len(events.delay) == len(events.up) > 20
    assert [a.dtype.kind for a in (events.pixel, events.delay, events.up)] == ["i", "i", "b"]


def test_times_are_rounded_half_up_and_end_with_the_interval() -> None:
    # On the line from 0 to 1 in Δt = 10: level ¼ at 2.5, ½ at 5, ¾ at 7.5, 1 at 10.
    events, _ = of_rows([(0.0, 1.0, 0, 0, 0.25, 0.25)], 10)
    assert events.delay.tolist() == [3, 5, 8, 10]
    # Within a tie of the level, and hardly moving: it would be met after the interval.
    late, _ = of_rows([(0.5 * (1 - 1.01e-9), 0.5 * (1 - 0.99e-9), 0, 0, 0.5, 0.5)], 10)
    assert late.delay.tolist() == [10]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_tie_fires_up_to_a_billionth_of_a_step(sign: float) -> None:
    for short, fires in ((0.0, 1), (0.9e-9, 1), (1.1e-9, 0)):
        events, memory = of_rows([(0.0, sign * 0.5 * (1 - short), 0, 0, 0.5, 0.5)], 10)
        assert len(events.pixel) == fires and memory.net[0] == fires * sign


def test_a_stream_starts_at_level_zero() -> None:
    memory = start(3)
    for part in (memory.net, memory.offs):
        assert part.dtype == np.int64 and part.tolist() == [0, 0, 0]
    value = Memory(np.array([3, -2]), np.array([1, 2])).value(np.array([0.5, 0.25]), np.ones(2))
    assert value.tolist() == [1.0, -2.0]  # 3·0.5 − 1·0.5, −2·0.25 − 2·0.75


def test_a_pixel_sleeps_until_its_dead_time_is_over() -> None:
    # Pixel 0 let something out at 95 µs, pixel 1 at 40; the interval begins at 100, 10 µs are dead.
    last = np.array([95, 40])
    events = Crossings(
        np.array([0, 0, 0, 1, 1, 1]),
        np.array([4, 5, 14, 0, 9, 10]),
        np.array([True, False, True, False, True, False]),
    )
    out = awake(events, 100, 10, last)
    # 104 is 9 after 95, 105 is 10; 114 is 9 after 105. 100 is late enough; 109 not, 110 is.
    assert out.pixel.tolist() == [0, 1, 1]
    assert out.delay.tolist() == [5, 0, 10]
    assert out.up.tolist() == [False, False, False]
    assert last.tolist() == [105, 110]
