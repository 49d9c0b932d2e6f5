"""The compiled loops that count events in cells and bins of time, without a list of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from events.kernels.compiled import njit
from events.kernels.emission import TILE, cross, no_steps, settle
from events.kernels.pixels import OPTIONS, SPARE, detect, placed

_U = np.uint64


class Window(NamedTuple):
    """Bins of time: bin b is ``start + [b, b + 1)·10⁶/per_second`` µs, up to `end`."""

    start: int
    end: int
    per_second: int

    @property
    def bins(self) -> int:
        """How many."""
        return (self.end - self.start) // 1_000_000 * self.per_second


@njit(**OPTIONS)
def _bin(time, window):
    """Return the bin of a time, −1 outside the window: exact, half open."""
    if time < window.start or time >= window.end:
        return -1
    return (time - window.start) * window.per_second // 1_000_000


@njit(**OPTIONS)
def _count_steps(fired, steps, begin, time0, interval, refractory, last, window, cells,
                 counts):  # fmt: skip
    """Count a tile's steps, each in the bin of its time.

    As `events.kernels.emission.write_awake`.
    """
    for j in range(fired.size):
        i = _U(fired[_U(j)]) + _U(begin)
        a, b, n = steps.a[_U(j)], steps.b[_U(j)], steps.n[_U(j)]
        for step in range(1, abs(n) + 1):
            time = time0 + placed(a + step * b, interval)
            if refractory > 0:
                if time - last[i] < refractory:
                    continue
                last[i] = time
            here = _bin(time, window)
            if here >= 0:
                counts[_U(here), _U(n > 0), _U(cells[i])] += 1


@njit(**OPTIONS)
def _count_tile(fired, frame, previous, pixels, tables, begin, time0, interval, refractory,
                window, cells, steps, counts):  # fmt: skip
    """Count the events of a tile's fired pixels in one interval.

    As `events.kernels.emission.emit`.
    """
    top = np.float64(interval)
    first, last = _bin(time0, window), _bin(time0 + interval, window)
    one_bin = first == last and refractory == 0
    # Both ends outside says nothing of what lies between them.
    one_bin &= first >= 0 or time0 >= window.end or time0 + interval < window.start
    cross(fired, frame, previous, pixels, tables, begin, top, steps)
    settle(fired, steps, pixels, tables, begin)
    if not one_bin:
        _count_steps(
            fired, steps, begin, time0, top, refractory, pixels.last, window, cells, counts
        )
    elif first >= 0:
        for j in range(fired.size):
            n, i = steps.n[_U(j)], _U(fired[_U(j)]) + _U(begin)
            counts[_U(first), _U(n > 0), _U(cells[i])] += abs(n)


@njit(**OPTIONS)
def count_frames(frames, times, pixels, tables, refractory, window, cells, counts):
    """Count the events of frames (F,P) at times (F,) after the first; counts (bins, 2, cells)."""
    fired, steps = np.empty(TILE + SPARE, dtype=np.int32), no_steps()
    for f in range(1, len(frames)):
        for begin in range(0, frames.shape[1], TILE):
            tile = slice(begin, min(begin + TILE, frames.shape[1]))
            count = detect(frames[f, tile], pixels.low[tile], pixels.high[tile], fired)
            _count_tile(
                fired[:count], frames[f, tile], frames[f - 1, tile], pixels, tables, begin,
                times[f - 1], times[f] - times[f - 1], refractory, window, cells, steps, counts,
            )  # fmt: skip


@njit(**OPTIONS)
def count_events(events: Any, counts: Any, cells: Any, width: int, window: Any) -> None:
    """Add a list of records to (bins, 2, cells) int32 counts; cells: (H·W,) of each pixel."""
    for i in range(events.size):
        event = events[i]
        here = _bin(event.t, window)
        if here >= 0:
            cell = cells[np.int64(event.y) * width + event.x]
            counts[here, 1 if event.p else 0, cell] += 1
