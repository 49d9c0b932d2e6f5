"""The readable generator: NumPy, float64, one interval at a time. The fast generator must equal it.

Same semantics as `events.generator`, written from the equations of `events.crossings` and
`events.noise`, without bands, lanes, keys or compiled code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.crossings import Crossings, Floats, awake, cross, start
from events.kernels.draws import SHOT
from events.noise import IDEAL, Noise, shot_rates, thresholds
from events.records import EVENTS
from events.response import log_table
from events.sensor import Sensor
from events.state import check_frames


def frames_to_events_reference(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    threshold: float = 0.2,
    threshold_off: float | None = None,
    refractory_us: int = 0,
    luma: str = "full",
    noise: Noise = IDEAL,
) -> NDArray[np.void]:
    """`events.frames_to_events` in plain NumPy: same arguments, same events in the same order."""
    sensor = Sensor(threshold, threshold_off, refractory_us, luma, noise)
    frames, times = check_frames(frames, times_us)
    flat, width = frames.reshape(len(frames), -1), frames.shape[2]
    count = flat.shape[1]
    on, off = thresholds(noise, count, sensor.on, sensor.off)
    x = _signal(log_table(luma)[flat], times, noise, on)
    memory, last = start(count), np.full(count, np.iinfo(np.int64).min // 2)
    found = [np.empty(0, dtype=EVENTS)]
    for i in range(1, len(flat)):
        time0, interval = int(times[i - 1]), int(times[i] - times[i - 1])
        events, memory = cross(x[i - 1], x[i], interval, memory, on, off)
        events = _with_shots(events, flat[i - 1], interval, noise, i)
        if refractory_us:
            events = awake(events, time0, refractory_us, last)
        order = np.argsort(events.delay, kind="stable")
        part = np.empty(len(order), dtype=EVENTS)
        part["x"], part["y"] = events.pixel[order] % width, events.pixel[order] // width
        part["t"], part["p"] = time0 + events.delay[order], events.up[order]
        found.append(part)
    return np.concatenate(found)


def _signal(log: Floats, times: NDArray[np.int64], noise: Noise, on: Floats) -> Floats:
    """Signal x of `events.noise`, log intensity (F,P) at times (F,); on: C_on of each pixel."""
    slow = log.copy()
    for i in range(1, len(log)):
        interval = times[i] - times[i - 1]
        alpha = interval / (interval + noise.tau_us)
        if noise.tau_us:
            slow[i] = slow[i - 1] + alpha * (log[i] - slow[i - 1])
    leaked = noise.leak_hz * 1e-6 * (times - times[0])
    return slow - slow[0] + leaked[:, None] * on


def splitmix(seed: int, index: int) -> int:
    """Output number `index` (from 0) of SplitMix64 (Steele, Lea, Flood 2014), as a Python int."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def _with_shots(
    events: Crossings, bytes_P: NDArray[np.uint8], interval: int, noise: Noise, frame: int
) -> Crossings:
    """Add the noise events of the interval that ends with frame number `frame` (from 0)."""
    if not noise.shot_hz:
        return events
    expected = shot_rates(noise)[bytes_P] * interval
    key = splitmix(splitmix(noise.seed, SHOT), frame)
    rows = [(p, d, up, 0) for p, d, up in zip(events.pixel, events.delay, events.up, strict=True)]
    for pixel in range(len(bytes_P)):
        bits = splitmix(key, pixel)
        for number in range(int(expected[pixel] + (bits >> 11) / 2**53)):
            more = splitmix(bits, number)
            delay = int((more >> 11) / 2**53 * interval)
            rows.append((pixel, delay, bool(more & 1), 1 + number))
    # By pixel, then time; for equal times crossings first, then noise in the order of the draws.
    rows.sort(key=lambda row: (row[0], row[1], row[3] > 0))
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0)] * 4
    return Crossings(columns[0].astype(int), columns[1].astype(int), columns[2].astype(bool))
