"""The state of a pixel array between frames, and checks of the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from events.kernels import pixels as kernels
from events.kernels.analog import Analog, Drift
from events.kernels.pixels import Pixels, Tables
from events.noise import shot_rates, thresholds
from events.records import LARGEST_SIDE
from events.response import log_table, response_of
from events.sensor import Sensor
from mdft.errors import UserError


@dataclass(frozen=True)
class PixelState:
    """The state of a stream between frames.

    Attributes:
        shape: (height, width).
        sensor: the sensor of the stream.
        time_us: the time of the last frame, µs.
        start_us: the time of the first frame, µs.
        frames: the number of frames so far.
        previous: the bytes of the last frame, (P,) uint8; P = height·width.
        pixels: see `events.kernels.pixels.Pixels`.
        analog: see `events.kernels.analog.Analog`; None for an ideal sensor.
    """

    shape: tuple[int, int]
    sensor: Sensor
    time_us: int
    start_us: int
    frames: int
    previous: NDArray[np.uint8]
    pixels: Pixels
    analog: Analog | None

    @property
    def pixel_bits(self) -> int:
        """The number of bits of a key below its time: pixel index and polarity."""
        return (self.shape[0] * self.shape[1] - 1).bit_length() + 1


def tables_of(sensor: Sensor) -> Tables:
    """Return the sensor's parameters for the kernels."""
    r = response_of(sensor.luma)
    on, off = sensor.on, sensor.off
    return Tables(r.log, r.below, r.above, r.scale, on, off, 1.0 / on, 1.0 / off)


def drift_of(state: PixelState) -> Drift:
    """Return the noise parameters for the kernel, for the next frame of the stream."""
    noise = state.sensor.noise
    return Drift(
        seed=np.uint64(noise.seed),
        leak=noise.leak_hz * 1e-6,
        tau=noise.tau_us,
        rates=shot_rates(noise),
        frame=state.frames,
        start=state.start_us,
    )


def first_state(frame: NDArray[np.uint8], time_us: int, sensor: Sensor) -> PixelState:
    """Return the state after a first frame (H,W): each pixel's memory is its value, level 0."""
    height, width = frame.shape
    count = height * width
    noisy = sensor.noise.some
    pixels = Pixels(
        first=frame.reshape(-1).copy(),
        net=np.zeros(count, dtype=np.int32),
        offs=np.zeros(count if noisy or sensor.on != sensor.off else 0, dtype=np.int32),
        low=np.empty(0 if noisy else count, dtype=np.uint8),
        high=np.empty(0 if noisy else count, dtype=np.uint8),
        last=np.full(count if sensor.refractory_us else 0, np.iinfo(np.int64).min // 2),
    )
    analog = None
    if noisy:
        level = log_table(sensor.luma)[pixels.first]
        on, off = thresholds(sensor.noise, count, sensor.on, sensor.off)
        analog = Analog(level.copy(), level, np.zeros(count), on, off)
    else:
        kernels.first_bands(pixels, tables_of(sensor))
    return PixelState(
        shape=(height, width),
        sensor=sensor,
        time_us=time_us,
        start_us=time_us,
        frames=1,
        previous=pixels.first.copy(),
        pixels=pixels,
        analog=analog,
    )


def after(state: PixelState, frame: NDArray[np.uint8], time_us: int, frames: int) -> PixelState:
    """Return the state after `frames` more frames, the last one being `frame` (P,)."""
    state.previous[:] = frame
    return replace(state, time_us=time_us, frames=state.frames + frames)


def check_frames(
    frames: NDArray[np.uint8], times_us: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return frames (F,H,W) uint8 and times (F,) int64, contiguous, or raise a `UserError`."""
    frames, times = np.asarray(frames), np.asarray(times_us)
    if frames.ndim != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise UserError(
            f"frames: found {frames.dtype} {frames.shape}, expected uint8 (F, H, W) luma with "
            "F, H, W ≥ 1; convert colour by events.rgb_to_luma first"
        )
    if max(frames.shape[1:]) > LARGEST_SIDE:
        raise UserError(
            f"frames: found {frames.shape[1:]}, expected sides of at most {LARGEST_SIDE} pixels"
        )
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


def check_chunk(
    frames: NDArray[np.uint8], times: NDArray[np.int64], state: PixelState, sensor: Sensor
) -> None:
    """Check that a chunk continues the stream, and that keys can hold its times.

    times: (F + 1,) int64, the state's time and the chunk's.
    """
    if sensor != state.sensor:
        raise UserError(
            f"sensor: found {sensor}, expected that of the state, {state.sensor}; another sensor "
            "begins a new stream (state=None)"
        )
    if frames.shape[1:] != state.shape:
        raise UserError(
            f"frames: found {frames.shape[1:]} after frames of {state.shape}, "
            "expected one size per clip"
        )
    steps = np.diff(times)
    if len(steps) and steps[0] <= 0:
        raise UserError(
            f"times_us: the chunk begins at {times[1]} µs, expected later than the frame before "
            f"it at {times[0]} µs"
        )
    longest = 1 << (63 - state.pixel_bits)
    if len(steps) and int(steps.max()) >= longest:
        at = int(steps.argmax())
        raise UserError(
            f"times_us: {steps[at]} µs between frames at {times[at]} and {times[at + 1]} µs, "
            f"expected less than {longest} with frames of {state.shape}; cut the clip there"
        )
