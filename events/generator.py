"""The event generation model (EGM): from luma frames to Tonic events.

Equations (4) and (5) of the paper: with L = log(I + ε) of a pixel and
ΔL(u, t) = L(u, t) − L_mem(u), there is an event (u, t, p) when ``p·ΔL(u, t) ≥ C``, and the
pixel's memory L_mem moves by whole steps of C. The memory is stored as integers,
L_mem = L(first frame) + K·C, so that no rounding errors accumulate. Between two frames L is linear
in time: a pixel may cross many levels in one interval, each at its time, in whole µs. An exact tie
causes an event, in both directions. `events.crossings` has the model in NumPy, with two thresholds.

The implementation is fast for three reasons. Each pixel has a band of two bytes without events, so
that two byte comparisons find the pixels with events, and only these need floating point
(`events.kernels.pixels`). A counting sort of each interval's keys writes the records
(`events.kernels.sorting`). The frame is divided into lanes of rows that stay in the cache over a
chunk of frames; threads divide the lanes, then the intervals, among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.device import events_on
from events.kernels import analog, emission, sorting
from events.noise import IDEAL, Noise
from events.records import EVENTS
from events.sensor import Sensor
from events.state import (
    PixelState,
    after,
    check_chunk,
    check_frames,
    drift_of,
    first_state,
    tables_of,
)
from mdft.errors import whole

_LANE = 1 << 16  # pixels per lane: their state fits in the second-level cache
_CHUNK = 1 << 22  # pixels per chunk of frames
_Map = Callable[..., Iterable[Any]]


def _lanes(shape: tuple[int, int], threads: int) -> list[tuple[int, int]]:
    """Divide a frame into lanes of whole rows, (begin, end) pixels: a multiple of the threads."""
    height, width = shape
    count = -(-height * width // (_LANE * threads)) * threads
    rows = np.linspace(0, height, min(count, height) + 1, dtype=int).tolist()
    return [(a * width, b * width) for a, b in pairwise(rows)]


class _Finder:
    """Find the unsorted events of a chunk of frames, lane by lane, in reused buffers.

    Attributes:
        keys: (lanes, room) int64, see `events.kernels.emission.emit`.
        starts: (lanes, F + 1) int64, where in its lane each interval begins and the last ends.
    """

    starts: NDArray[np.int64]

    def __init__(self, shape: tuple[int, int], frames: int, threads: int) -> None:
        self.lanes = _lanes(shape, threads)
        longest = max(end - begin for begin, end in self.lanes)
        self.keys = np.empty((len(self.lanes), 64 + longest * frames // 4), dtype=np.int64)

    def find(
        self, frames: NDArray[np.uint8], times: NDArray[np.int64], state: PixelState, each: _Map
    ) -> None:
        """Fill keys and starts, update the state; frames (F,P) at times[1:], state at times[0]."""
        self.starts = np.zeros((len(self.lanes), len(frames) + 1), dtype=np.int64)
        cursors = np.zeros((len(self.lanes), 3), dtype=np.int64)
        while True:
            run = partial(self._run, frames, times, state)
            list(each(run, cursors, self.lanes, self.keys, self.starts))
            if (cursors[:, 0] == len(frames)).all():
                return
            grown = np.empty((len(self.lanes), 2 * self.keys.shape[1]), dtype=np.int64)
            grown[:, : self.keys.shape[1]] = self.keys
            self.keys = grown

    @staticmethod
    def _run(
        frames: NDArray[np.uint8],
        times: NDArray[np.int64],
        state: PixelState,
        cursor: NDArray[np.int64],
        lane: tuple[int, int],
        keys: NDArray[np.int64],
        starts: NDArray[np.int64],
    ) -> None:
        """Continue one lane until it is done or its keys are full."""
        sensor, tables = state.sensor, tables_of(state.sensor)
        begin = frames, state.previous, times, state.pixels
        end, to = (sensor.refractory_us, state.pixel_bits, lane), (keys, starts, cursor)
        if state.analog is None:
            emission.run_lane(*begin, tables, *end, *to)
        else:
            analog.run_lane(*begin, state.analog, drift_of(state), tables.log, *end, *to)


class _Records:
    """The events of all chunks, in one array that is rarely copied.

    The array is allocated with a reserve, because unused pages cost no memory: a quarter more than
    an extrapolation of the events so far, and at least one event for every eighth pixel.
    """

    def __init__(self, frames: int, pixels: int) -> None:
        self.frames, self.least = frames, frames * pixels // 8
        self.done, self.count = 0, 0
        self.array = np.empty(0, dtype=EVENTS)

    def add(self, finder: _Finder, times: NDArray[np.int64], state: PixelState, threads: int,
            each: _Map) -> None:  # fmt: skip
        """Append a chunk's events, sorted; times (F + 1,)."""
        ends = finder.starts.sum(axis=0)
        size = int(ends[-1])
        self.done += len(times) - 1
        if self.count + size > len(self.array):
            expected = (self.count + size) * self.frames // self.done
            grown = np.empty(max(expected + expected // 4, self.least), dtype=EVENTS)
            # Copied as bytes: NumPy copies records field by field.
            grown[: self.count].view(np.uint8)[:] = self.array[: self.count].view(np.uint8)
            self.array = grown
        out = self.array[self.count : self.count + size]
        # Each thread gets about the same number of events.
        cuts = np.searchsorted(ends, np.arange(1, threads) * size / threads)
        edges = [0, *cuts.tolist(), len(times) - 1]
        common = times, state.pixel_bits, state.shape[1], out.view(np.uint8)
        jobs = [(a, b) for a, b in pairwise(edges) if b > a]
        sort = sorting.sort_intervals
        list(each(lambda job: sort(finder.keys, finder.starts, job, *common), jobs))
        self.count += size

    def all(self) -> NDArray[np.void]:
        """Return the events, and release the unused memory."""
        self.array.resize(self.count, refcheck=False)
        return self.array


def advance(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    state: PixelState | None,
    sensor: Sensor,
    *,
    threads: int = 1,
) -> tuple[NDArray[np.void], PixelState]:
    """Return the events of the next frames of a stream, and the state after them.

    If a clip is divided into chunks in any way, the concatenated events are exactly those of one
    call, with any number of threads. Do not use the given state afterwards: the returned state
    reuses its arrays.

    Args:
        frames: (F,H,W) uint8 luma, F ≥ 1.
        times_us: (F,) int64, strictly increasing and after the state's last frame.
        state: the state after the previous frames; None at the start of a clip.
        sensor: thresholds, refractory period, luma convention, noise.
        threads: the number of threads; the kernels release the GIL.

    Returns:
        (n,) events of dtype `EVENTS`, sorted as in `frames_to_events`, and the state.

    Raises:
        UserError: shapes or dtypes are wrong, times do not increase, or the frame size or sensor
            is not that of the state.
    """
    threads = whole("threads", threads, least=1)
    frames, times = check_frames(frames, times_us)
    if state is None:
        state = first_state(frames[0], int(times[0]), sensor)
        frames = frames[1:]
    else:
        times = np.concatenate([[state.time_us], times])
    check_chunk(frames, times, state, sensor)
    flat = frames.reshape(len(frames), len(state.previous))
    step = max(1, _CHUNK // len(state.previous))
    found = _Records(*flat.shape)
    finder = _Finder(state.shape, min(step, len(flat)), threads)
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        each: _Map = map if pool is None else pool.map
        for begin in range(0, len(flat), step):
            part, stamps = flat[begin : begin + step], times[begin : begin + step + 1]
            finder.find(part, stamps, state, each)
            found.add(finder, stamps, state, threads, each)
            state = after(state, part[-1], int(stamps[-1]), len(part))
    return found.all(), state


def frames_to_events(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    threshold: float = 0.2,
    threshold_off: float | None = None,
    refractory_us: int = 0,
    luma: str = "full",
    noise: Noise = IDEAL,
    threads: int = 1,
    device: str | None = None,
) -> NDArray[np.void]:
    """Generate the events of a clip, equations (4) and (5).

    A pixel may have many events in one interval between frames. The events are sorted by t; for
    equal times by interval, then in raster order (y, x), then in the order of the crossings.

    Args:
        frames: (F,H,W) uint8 luma; a single frame gives no events.
        times_us: (F,) int64 µs, strictly increasing.
        threshold: the contrast C of an ON event, in log intensity.
        threshold_off: the contrast of an OFF event; None = the same.
        refractory_us: the dead time of a pixel after an event, µs.
        luma: the luma convention of the bytes (`events.response.LUMAS`).
        noise: the sensor noise (`events.noise.Noise`).
        threads: the number of threads.
        device: a torch device that computes the events of an ideal sensor without refractory
            period (`events.device`), such as ``cuda``; None = the compiled kernels.

    Returns:
        (n,) structured array of `EVENTS`: x, y int16; t int64 µs; p bool, True = brighter.

    Raises:
        UserError: an argument is wrong; the message has its name, what was found and expected.
    """
    sensor = Sensor(threshold, threshold_off, refractory_us, luma, noise)
    if device is not None:
        return events_on(device, frames, times_us, sensor)
    return advance(frames, times_us, None, sensor, threads=threads)[0]
