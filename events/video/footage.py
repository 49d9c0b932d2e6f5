"""Read a clip: sampled RGB frames, mono sound and event bins, aligned to whole seconds.

A fixed number of frames per second is sampled, whatever the frame rate: each is the frame
displayed at the middle of its interval. Events are generated from every frame, downscaled by area
averaging, which suppresses the noise of codec and camera. Sound is silence where the file has
none. The length of a clip is that of its video, without a last partial second; a clip shorter than
a second has length 1.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from events.binning import frames_to_bins
from events.luma import rgb_to_luma
from events.video.clip import Clip, ClipFrame
from events.video.remarks import remarks_of
from events.video.sound import Sound, lay_out
from events.video.wanted import Footage, Wanted
from mdft.errors import whole

_SECOND = 1_000_000
#: A last second that is short by no more than this counts as whole.
_SLACK_US = 50_000
_MOST_OBLONG = 4


def read_footage(wanted: Wanted) -> Footage:
    """Read a clip, in one pass.

    Raises:
        UserError: the file cannot be read (`events.video.clip.Clip`), or a setting is below 1.
    """
    for name in ("frame_size", "frames_per_second", "sound_rate", "event_size", "max_seconds"):
        whole(name, getattr(wanted, name), least=1)
    limit_us = wanted.max_seconds * _SECOND
    stretches: list[Sound] = []
    picker = _Picker(wanted)
    lumas: list[NDArray[np.uint8]] = []
    times: list[int] = []
    with Clip(wanted.path, wanted.sound_rate, strict=wanted.strict) as clip:
        for frame in clip:
            stretches += frame.sound
            lumas.append(rgb_to_luma(_shrunk(frame, wanted.event_size)))
            times.append(frame.time_us)
            picker.see(frame)
            if frame.time_us >= limit_us:
                clip.check()
                break
        seconds = min(_seconds(times, clip.fps, clip.end_us), wanted.max_seconds)
        frames = picker.finish(seconds)
        cut = times[-1] >= limit_us
        remarks = list(remarks_of(clip, clip.duration_us if cut else times[-1]))
        if not clip.sounds:
            remarks.append("no sound in the file: taken as silent")
        if cut:
            remarks.append(f"cut after {wanted.max_seconds} s")
    bins = frames_to_bins(
        np.stack(lumas),
        np.array(times, dtype=np.int64),
        seconds=seconds,
        bins_per_second=wanted.bins_per_second,
        threshold=wanted.threshold,
    )
    sound = lay_out(stretches, seconds * wanted.sound_rate)
    return Footage(frames, sound, bins, clip.fps, tuple(remarks))


class _Picker:
    """Samples the frame displayed at (k + 1/2)/rate seconds, for k = 0, 1, …"""

    def __init__(self, wanted: Wanted) -> None:
        self.rate, self.size = wanted.frames_per_second, wanted.frame_size
        self.limit = wanted.max_seconds * self.rate
        self.taken: list[NDArray[np.uint8]] = []
        self.current: ClipFrame | None = None

    def see(self, frame: ClipFrame) -> None:
        """Sample the previous frame up to the time of this one."""
        self._fill(frame.time_us)
        self.current = frame

    def finish(self, seconds: int) -> NDArray[np.uint8]:
        """Return the sampled frames of `seconds` seconds; the last frame lasts until the end."""
        self._fill(seconds * _SECOND)
        return np.stack(self.taken[: seconds * self.rate])

    def _fill(self, until_us: int) -> None:
        small = None
        while (2 * len(self.taken) + 1) * _SECOND < 2 * self.rate * until_us:
            if len(self.taken) == self.limit:
                return
            assert self.current is not None, "the first frame is at 0"
            small = _shrunk(self.current, self.size) if small is None else small
            self.taken.append(small)


def _shrunk(frame: ClipFrame, size: int) -> NDArray[np.uint8]:
    """Downscale by area averaging to a shorter side of `size`: (H, W, 3) uint8 RGB, upright.

    The longer side is at most four times that, which bounds the memory for a malicious shape.
    """
    source = frame.source
    shorter, longer = sorted((source.width, source.height))
    other = min(max(round(longer * size / shorter), size), _MOST_OBLONG * size)
    width, height = (size, other) if source.width <= source.height else (other, size)
    small = source.to_ndarray(
        format="rgb24", width=width, height=height, interpolation=Interpolation.AREA
    )
    return frame.orientation.upright(cast(NDArray[np.uint8], small))


def _seconds(times_us: list[int], fps: float, end_us: int | None) -> int:
    """Return T: the whole seconds from the first frame to the end of the last, at least 1.

    At a constant rate the last frame lasts as long as the median gap. At a variable rate it lasts
    no longer than the file declares, which is the nominal period if no end after it is declared.
    """
    gaps, last_us = np.diff(times_us), times_us[-1]
    period = _SECOND / fps if fps > 0 else 0.0
    if len(gaps):
        declared = end_us - last_us if end_us is not None and end_us > last_us else period
        median = float(np.median(gaps))
        constant = len(gaps) > 1 and np.ptp(gaps) <= _SLACK_US
        # A median that is longer by no more than the slack is the same, with stamps rounded.
        period = median if constant or median <= declared + _SLACK_US else declared
    return max(1, int(last_us + period + _SLACK_US) // _SECOND)
