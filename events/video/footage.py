"""What a clip shows, how it sounds and what events it makes, on a clock of whole seconds.

Pictures are taken a fixed number of times a second, each in the middle of its stretch of time:
the one that is shown then, whatever the frame rate. Events come of every frame, shrunk by area
averaging, which keeps the noise of codec and camera out. Sound is mono, silent where there is
none. A clip's length is that of its pictures; a further, partial second is left out, and a clip
shorter than a second counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from events.binning import frames_to_bins
from events.luma import rgb_to_luma
from events.video.clip import Clip, ClipFrame
from events.video.planes import upright
from events.video.remarks import remarks_of
from events.video.sound import Sound, lay_out
from mdft.errors import whole

_SECOND = 1_000_000
#: A clip that lacks no more than this of a whole second has it.
_SLACK_US = 50_000
_MOST_OBLONG = 4


@dataclass(frozen=True)
class Wanted:
    """What to take from a clip.

    Attributes:
        path: of the video file.
        frame_size: shorter side of the pictures, pixels; the longer one keeps its proportion.
        frames_per_second: how many pictures.
        sound_rate: samples a second.
        event_size: shorter side of the frames that make events, pixels.
        bins_per_second: K, event bins a second.
        threshold: contrast C of an event.
        max_seconds: what comes later is left out.
    """

    path: str
    frame_size: int = 64
    frames_per_second: int = 4
    sound_rate: int = 8000
    event_size: int = 64
    bins_per_second: int = 8
    threshold: float = 0.2
    max_seconds: int = 60


@dataclass(frozen=True)
class Footage:
    """A clip of T seconds.

    Attributes:
        pictures: (T·frames_per_second, H, W, 3) uint8 RGB, upright.
        sound: (T·sound_rate,) float32, full scale ±1.
        bins: E_v, (T, K, 512) uint8 in sixteenths, see `events.pool`.
        fps: nominal frame rate, 0 if the file declares none.
        remarks: what was odd about the clip, one line each.
    """

    pictures: NDArray[np.uint8]
    sound: NDArray[np.float32]
    bins: NDArray[np.uint8]
    fps: float
    remarks: tuple[str, ...]

    @property
    def seconds(self) -> int:
        """T."""
        return len(self.bins)


def read_footage(wanted: Wanted) -> Footage:
    """Read a clip, in one pass.

    Raises:
        UserError: the file cannot be read (`events.video.clip.Clip`), or a number is impossible.
    """
    for name in ("frame_size", "frames_per_second", "sound_rate", "event_size", "max_seconds"):
        whole(name, getattr(wanted, name), least=1)
    limit_us = wanted.max_seconds * _SECOND
    stretches: list[Sound] = []
    picker = _Picker(wanted)
    lumas: list[NDArray[np.uint8]] = []
    times: list[int] = []
    with Clip(wanted.path, wanted.sound_rate) as clip:
        for frame in clip:
            stretches += frame.sound
            lumas.append(rgb_to_luma(_shrunk(frame, wanted.event_size)))
            times.append(frame.time_us)
            picker.see(frame)
            if frame.time_us >= limit_us:
                break
        seconds = min(_seconds(times, clip.fps), wanted.max_seconds)
        pictures = picker.finish(seconds)
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
    return Footage(pictures, sound, bins, clip.fps, tuple(remarks))


class _Picker:
    """Takes the picture that is shown at (k + 1/2)/rate seconds, for k = 0, 1, …"""

    def __init__(self, wanted: Wanted) -> None:
        self.rate, self.size = wanted.frames_per_second, wanted.frame_size
        self.limit = wanted.max_seconds * self.rate
        self.taken: list[NDArray[np.uint8]] = []
        self.shown: ClipFrame | None = None

    def see(self, frame: ClipFrame) -> None:
        """Take what was shown until this frame replaced it."""
        self._fill(frame.time_us)
        self.shown = frame

    def finish(self, seconds: int) -> NDArray[np.uint8]:
        """Return the pictures of so many seconds; the last frame stays until the end."""
        self._fill(seconds * _SECOND)
        return np.stack(self.taken[: seconds * self.rate])

    def _fill(self, until_us: int) -> None:
        picture = None
        while (2 * len(self.taken) + 1) * _SECOND < 2 * self.rate * until_us:
            if len(self.taken) == self.limit:
                return
            assert self.shown is not None, "the first frame is at 0"
            picture = _shrunk(self.shown, self.size) if picture is None else picture
            self.taken.append(picture)


def _shrunk(frame: ClipFrame, size: int) -> NDArray[np.uint8]:
    """Average a frame's areas to a shorter side of `size`: (H, W, 3) uint8 RGB, upright.

    The longer side becomes at most four times that, or a hostile shape would fill the memory.
    """
    source = frame.source
    shorter, longer = sorted((source.width, source.height))
    other = min(max(round(longer * size / shorter), size), _MOST_OBLONG * size)
    width, height = (size, other) if source.width <= source.height else (other, size)
    picture = source.to_ndarray(
        format="rgb24", width=width, height=height, interpolation=Interpolation.AREA
    )
    return upright(cast(NDArray[np.uint8], picture), source)


def _seconds(times_us: list[int], fps: float) -> int:
    """Return T: the whole seconds from the first frame to the end of the last, at least 1."""
    gaps = np.diff(times_us)
    period = float(np.median(gaps)) if len(gaps) else _SECOND / fps if fps > 0 else 0.0
    return max(1, int(times_us[-1] + period + _SLACK_US) // _SECOND)
