"""The event generation model (EGM): from luma frames to Tonic events.

Equations (4) and (5) of the paper, read as in the design: with L = log(I + ε) of a pixel and
ΔL(u, t) = L(u, t) − L_mem(u), an event (u, t, p) fires when ``p·ΔL(u, t) ≥ C``, and the
pixel's memory L_mem moves by whole steps of C. The memory is kept as an integer level,
L_mem = L(first frame) + K·C, so that nothing drifts. With m = (L − L(first))/C,

    K' = max(floor(m), min(K, ceil(m)))

and one event fires for each whole step from K to K'. An exact tie (m a whole number) fires, in
both directions. Between two frames L is a straight line in time, so step k is crossed at
``t = t₀ + (t₁ − t₀)·(k − m₀)/(m₁ − m₀)``, rounded half up to whole µs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events import kernels
from events.errors import UserError, whole
from events.response import check_threshold, log_table, quiet_bands

#: dtype of `tonic.io.events_struct`: packed, 13 bytes, t in µs, p True = brighter (ON).
EVENTS = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
_LARGEST_SIDE = 32767  # x and y are int16


@dataclass(frozen=True)
class Sensor:
    """An ideal event sensor.

    Attributes:
        threshold: contrast C in log intensity (nats), both polarities.
        refractory_us: a pixel's event is swallowed if it comes less than this after the
            pixel's last one; its memory moves all the same. 0 = none.
        luma: convention of the frames' bytes, one of `events.response.LUMAS`.
    """

    threshold: float = 0.2
    refractory_us: int = 0
    luma: str = "full"

    def __post_init__(self) -> None:
        """Refuses values no sensor can have."""
        check_threshold(self.threshold)
        log_table(self.luma)
        whole("refractory_us", self.refractory_us, least=0)


@dataclass
class PixelState:
    """Memory of every pixel between frames; arrays are (P,), P = height·width.

    Attributes:
        shape: (height, width).
        time_us: time of the frame last seen.
        previous: uint8, its bytes.
        first: uint8, bytes of the first frame.
        level: int16, K.
        low, high: uint8, quiet band of the level.
        last: int64, time of the last event that was let out ((0,) without refractory period).
    """

    shape: tuple[int, int]
    time_us: int
    previous: NDArray[np.uint8]
    first: NDArray[np.uint8]
    level: NDArray[np.int16]
    low: NDArray[np.uint8]
    high: NDArray[np.uint8]
    last: NDArray[np.int64]


def check_frames(
    frames: NDArray[np.uint8], times_us: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames (F,H,W) uint8 and times (F,) int64, contiguous; a `UserError` says what is wrong."""
    frames, times = np.asarray(frames), np.asarray(times_us)
    if frames.ndim != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise UserError(
            f"frames: found {frames.dtype} {frames.shape}, expected uint8 (F, H, W) luma with "
            "F, H, W ≥ 1; colour goes through events.rgb_to_luma first"
        )
    if max(frames.shape[1:]) > _LARGEST_SIDE:
        raise UserError(f"frames: found {frames.shape[1:]}, expected sides of at most 32767 pixels")
    if times.shape != (len(frames),) or times.dtype.kind not in "iu":
        raise UserError(
            f"times_us: found {times.dtype} {times.shape}, expected int64 ({len(frames)},) in µs, "
            "one per frame"
        )
    times = times.astype(np.int64)
    late = np.flatnonzero(np.diff(times) <= 0)
    if late.size:
        i = int(late[0])
        raise UserError(
            f"times_us: frame {i + 1} at {times[i + 1]} µs does not come after frame {i} at "
            f"{times[i]} µs; expected strictly increasing times"
        )
    return np.ascontiguousarray(frames), times


def first_state(frame: NDArray[np.uint8], time_us: int, sensor: Sensor) -> PixelState:
    """Return the state after a first frame (H,W): each pixel remembers what it sees, level 0."""
    bytes_P = frame.reshape(-1).copy()
    bands = quiet_bands(sensor.threshold, sensor.luma)
    column = -bands.kmin[bytes_P].astype(np.int64)
    last = np.full(bytes_P.size if sensor.refractory_us else 0, np.iinfo(np.int64).min // 2)
    return PixelState(
        shape=(frame.shape[0], frame.shape[1]),
        time_us=time_us,
        previous=bytes_P,
        first=bytes_P.copy(),
        level=np.zeros(bytes_P.size, dtype=np.int16),
        low=bands.low[bytes_P, column],
        high=bands.high[bytes_P, column],
        last=last,
    )


class _Scratch:
    """Working memory of one `advance`, reused: fresh pages cost as much as the work itself."""

    def __init__(self, pixels: int) -> None:
        self.fired = np.empty(pixels, dtype=np.int32)
        self.room(4096)

    def room(self, events: int) -> None:
        """Make place for so many events of one interval; what was written is lost."""
        self.codes = np.empty((2, events), dtype=np.int32)
        self.delays = np.empty((2, events), dtype=np.int64)


def _interval(
    frame: NDArray[np.uint8], time_us: int, state: PixelState, sensor: Sensor, scratch: _Scratch
) -> NDArray[np.void]:
    """Events between the state's frame and this one (P,) uint8, sorted; moves the state."""
    bands, log = quiet_bands(sensor.threshold, sensor.luma), log_table(sensor.luma)
    interval = time_us - state.time_us
    fired = scratch.fired
    count = kernels.detect(frame, state.low, state.high, fired)
    needed = kernels.count_steps(
        fired, count, frame, state.first, state.level, log, sensor.threshold
    )
    if needed > scratch.codes.shape[1]:
        scratch.room(needed + needed // 4)
    n = kernels.emit(
        fired, count, frame, state.previous, state.first, state.level, state.low, state.high,
        state.last, log, sensor.threshold, bands.low, bands.high, bands.kmin,
        state.time_us, interval, sensor.refractory_us, scratch.codes[0], scratch.delays[0],
    )  # fmt: skip
    out = np.empty(n, dtype=EVENTS)
    if n:
        kernels.sort_and_pack(
            scratch.codes, scratch.delays, n, state.time_us, interval, state.shape[1], out
        )
    state.previous[:] = frame
    state.time_us = time_us
    return out


def advance(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    state: PixelState | None,
    sensor: Sensor,
) -> tuple[NDArray[np.void], PixelState]:
    """One step of the stream: the events of the next frames, and the state after them.

    Cutting a clip into chunks in any way and concatenating the events gives exactly the events
    of one call. The given state is used up: its arrays move on into the returned one.

    Args:
        frames: (F,H,W) uint8 luma, F ≥ 1.
        times_us: (F,) int64, strictly increasing and after the state's last frame.
        state: None at the start of a clip.
        sensor: threshold, refractory period, luma convention.

    Returns:
        (n,) events of dtype `EVENTS`, sorted as `frames_to_events` says, and the state.

    Raises:
        UserError: wrong shapes or dtypes, times that do not increase, another frame size.
    """
    frames, times = check_frames(frames, times_us)
    begin = 0
    if state is None:
        state, begin = first_state(frames[0], int(times[0]), sensor), 1
    if frames.shape[1:] != state.shape:
        raise UserError(
            f"frames: found {frames.shape[1:]} after frames of {state.shape}, "
            "expected one size in a clip"
        )
    if begin == 0 and times[0] <= state.time_us:
        raise UserError(
            f"times_us: the chunk begins at {times[0]} µs, expected later than the frame before "
            f"it at {state.time_us} µs"
        )
    scratch = _Scratch(state.previous.size)
    parts = [
        _interval(frames[i].reshape(-1), int(times[i]), state, sensor, scratch)
        for i in range(begin, len(frames))
    ]
    events = np.concatenate(parts) if parts else np.empty(0, dtype=EVENTS)
    return events, state


def frames_to_events(
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    *,
    threshold: float = 0.2,
    refractory_us: int = 0,
    luma: str = "full",
) -> NDArray[np.void]:
    """Generate the events of a clip, equations (4) and (5); a pixel may fire often in an interval.

    Sorted by t. Equal times: first the events of the earlier interval between frames, then in
    raster order (y, x), then in the order in which the pixel crossed its levels.

    Args:
        frames: (F,H,W) uint8 luma; a single frame gives no events.
        times_us: (F,) int64 µs, strictly increasing.
        threshold: contrast C in log intensity.
        refractory_us: dead time of a pixel after an event, µs.
        luma: convention of the bytes (`events.response.LUMAS`).

    Returns:
        (n,) structured array of `EVENTS`: x, y int16; t int64 µs; p bool, True = brighter.

    Raises:
        UserError: says which argument is wrong, what was found and what is expected.
    """
    sensor = Sensor(threshold=threshold, refractory_us=refractory_us, luma=luma)
    return advance(frames, times_us, None, sensor)[0]
