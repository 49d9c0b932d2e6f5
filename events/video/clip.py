"""Video files: frames with their time stamps and sound, in one pass and constant memory.

Frames are in the decoder's order, which is display order. `events.video.joins` makes one clock of
the parts of a joined file, `events.video.stamps` gives each frame its time stamp, and
`events.video.decoding` skips what cannot be decoded. A frame whose stamp does not increase is
dropped and counted.

Time 0 is the first frame. If requested, sound comes with the frames, on the same clock
(`events.video.sound`); `events.video.planes` defines luma. The first video stream is used, cover
images are ignored; `events.video.sound_stream` chooses the sound stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from events.files.kinds import kind_of
from events.video.decoding import Decoding
from events.video.losses import Losses, counted, places
from events.video.orientation import Orientation, orientation_of
from events.video.planes import bits_of, expanded, limited_range, plane_of, rgb_of
from events.video.sound import Sound, SoundTrack
from events.video.sound_stream import ChosenSound, choose_sound
from events.video.stamps import Stamps
from mdft.errors import UserError, reason, require_file

# A text file named .mp4 can make FFmpeg read other files (ffconcat), or be decoded (.ans).
FORMATS = (
    *("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "ogg", "asf"),
    *("gif", "apng", "h264", "hevc", "ivf", "yuv4mpegpipe"),
)
_DEFAULT_RATE = Fraction(25)  # FFmpeg's, for streams that declare none
_MOST_FPS = 1000
_MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        time_us: the time after the clip's first frame, µs.
        plane: the luma plane, (H, W) uint8, upright.
        limited: whether the plane has limited range.
        source: the decoder's frame.
        orientation: how it becomes upright.
        sound: the sound packets of the file since the previous frame, if requested. They need not
            be at the same time as the frame: each segment has its own start.
    """

    time_us: int
    plane: NDArray[np.uint8]
    limited: bool
    source: VideoFrame
    orientation: Orientation
    sound: tuple[Sound, ...] = ()

    @property
    def luma(self) -> NDArray[np.uint8]:
        """Full-range luma (H, W) uint8, convention ``full``; rounded if the plane is limited."""
        return expanded(self.plane) if self.limited else self.plane

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Convert to (H, W, 3) uint8 RGB, full range, upright; resized if a size is given."""
        return rgb_of(self.source, self.orientation, width, height)


class Clip:
    """An open video file: iterate once over its `ClipFrame`s, in a ``with``.

    Args:
        path: the video file.
        sound_rate: also decode the sound, to so many samples per second; None: no sound.
        strict: refuse a clip of which any frame is lost or damaged.

    Attributes:
        path: the video file.
        width, height: the size of the upright frames, pixels.
        fps: the nominal frame rate of the file, or of the codec if the file has none or no time
            stamps; 0 if neither has one.
        duration_us: the declared length, 0 if none.
        orientation: the one that the file declares and the frames are shown in.
        bits: the bits per luma sample in the file.
        limited: whether the planes have limited range ("TV"): see `events.response.convention`.
        videos, sounds: the numbers of streams of each kind, without cover images.
        sound: the chosen sound stream and those refused, if sound was requested.
        decoded, dropped: the numbers of frames so far that were decoded, and dropped because their
            stamp did not increase.
        gap_us: the begin and end of the longest time without a frame.
        stamps: the time stamps of the frames so far.

    Raises:
        UserError: there is no such file, it is not a regular file or not a video, or it has no
            video stream of known size or no frame; while iterating: a frame has another size than
            the first, or see `check`.
    """

    def __init__(
        self, path: str | Path, sound_rate: int | None = None, *, strict: bool = False
    ) -> None:
        self.path, self.strict = Path(path), strict
        require_file(self.path, "a video file")
        self.decoded = self.dropped = 0
        self.gap_us = (0, 0)
        self.sound = ChosenSound()
        self._start = self._newest = 0  # stamps of the first and the newest frame
        self._container = self._open()
        self._decoding: Decoding | None = None
        try:
            self._choose(sound_rate)
        except BaseException:
            self._close()
            raise

    def _open(self) -> InputContainer:
        options = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
        try:
            return av.open(str(self.path), options=options)
        except (FFmpegError, ValueError) as error:
            if _is_mp4(self.path):
                raise UserError(
                    f"{self.path}: its index cannot be read ({reason(error)}); the file is "
                    "damaged, cut short, or not yet completely written"
                ) from error
            kind = kind_of(self.path)
            if kind is not None:
                raise UserError(
                    f"{self.path}: {kind.name}, expected a video; {kind.advice}"
                ) from error
            raise UserError(
                f"{self.path}: not a video that can be read ({reason(error)}); expected a file "
                "such as mp4, mkv, webm or avi"
            ) from error

    def _close(self) -> None:
        (self._decoding or self._container).close()

    @property
    def track(self) -> SoundTrack | None:
        """The decoder of the sound; None if no stream can be decoded or none was requested."""
        return self.sound.track

    def _choose(self, sound_rate: int | None) -> None:
        """Choose the streams, and decode the first frame, which has their properties."""
        streams = self._container.streams
        videos = [s for s in streams.video if not s.disposition & Disposition.attached_pic]
        self.videos, self.sounds = len(videos), len(streams.audio)
        if not videos:
            raise UserError(f"{self.path}: no video stream in it, expected at least one")
        self._stream = videos[0]
        if self._stream.codec_context is None:
            raise UserError(
                f"{self.path}: no decoder for its video stream; the file is damaged, or "
                "convert it to mp4"
            )
        if min(self._stream.width, self._stream.height) < 1:
            raise UserError(
                f"{self.path}: no size of the frames in the video stream; the file is damaged "
                "or cut short"
            )
        if sound_rate is not None:
            self.sound = choose_sound(self._container, sound_rate, self._open)
        rate = self._stream.average_rate or self._codec_rate() or Fraction(0)
        self._tick = self._stream.time_base or _MICROSECOND
        self.duration_us = _duration_us(self._container, self._stream)
        self.stamps = Stamps(self._tick, rate or _DEFAULT_RATE)
        period = self.stamps.period
        self._decoding = Decoding(self._container, self._stream, self.track, period, self._open)
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            self.check()
            raise UserError(f"{self.path}: the video stream holds no frame, expected at least one")
        if first.pts is None and first.dts is None:
            rate = self._codec_rate() or rate
            self.stamps = Stamps(self._tick, rate or _DEFAULT_RATE)
        self.fps = float(rate)
        self.orientation = self._turned = orientation_of(first)
        self._rotation, self.bits = first.rotation, bits_of(first)
        sides = (first.width, first.height)
        self.width, self.height = sides[::-1] if self.orientation.transposed else sides
        self._first, self._sides = first, sides
        self.limited = limited_range(first)

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __iter__(self) -> Iterator[ClipFrame]:
        """Yield the frames with strictly increasing times, the first at 0."""
        # Rounded to the nearest µs; integers are ten times as fast as fractions.
        numerator, denominator = (2 * self._tick / _MICROSECOND).as_integer_ratio()
        start: int | None = None
        last = -1
        for stamp, frame in self.stamps.of(chain((self._first,), self._frames)):
            if start is None:
                start = self._start = stamp
            time_us = ((stamp - start) * numerator + denominator) // (2 * denominator)
            if time_us <= last:
                self.dropped += 1
                continue
            if (frame.width, frame.height) != self._sides:
                raise UserError(
                    f"{self.path}: frame {self.decoded} is {frame.width}x{frame.height} after "
                    f"{self._sides[0]}x{self._sides[1]}; expected one size, cut the clip there"
                )
            if last >= 0 and time_us - last > self.gap_us[1] - self.gap_us[0]:
                self.gap_us = (last, time_us)
            last, self._newest = time_us, stamp
            sound = self.track.take(start * self._tick) if self.track else ()
            orientation = self._orientation(frame)
            plane = self._plane(frame, orientation)
            yield ClipFrame(time_us, plane, self.limited, frame, orientation, sound)
        self.check()

    def _decode(self) -> Iterator[VideoFrame]:
        """Yield the decoder's frames, which also feeds the sound to its track."""
        assert self._decoding is not None
        for frame in self._decoding.frames():
            self.decoded += 1
            yield frame

    @property
    def losses(self) -> Losses:
        """The account of what could not be decoded so far."""
        assert self._decoding is not None
        return self._decoding.losses

    @property
    def lost(self) -> int:
        """The number of frames so far that could not be decoded."""
        return self.losses.count(self._newest)

    @property
    def jumps(self) -> int:
        """The number of jumps of the file's clock so far; see `events.video.joins`."""
        assert self._decoding is not None
        return self._decoding.joins.count

    @property
    def end_us(self) -> int | None:
        """The declared end of the last frame so far, µs; None for a file without time stamps."""
        assert self._decoding is not None
        end = self._decoding.joins.end
        return None if end is None else round((end - self._start) * self._tick / _MICROSECOND)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is lost or damaged so far, one line each."""
        assert self._decoding is not None
        losses, lost, unread = self.losses, self.lost, self._decoding.unread
        stamps = losses.stamps(self._newest)
        where = places(stamps, self._start, self._newest, self._tick, self.stamps.period)
        found = {
            f"{lost} of {self.decoded + lost} frames could not be decoded ({where})": lost,
            f"{counted(losses.refused, 'packet')} could not be decoded; no frame is missing": (
                losses.refused and not lost and losses.ended
            ),
            f"errors in {counted(losses.flawed, 'frame')}, which the decoder concealed": (
                losses.flawed
            ),
            f"the file cannot be read beyond frame {self.decoded} ({unread})": unread,
        }
        return tuple(text.replace(" ()", "") for text, applies in found.items() if applies)

    def check(self) -> None:
        """Refuse a clip of which too much is lost; called at the end of an iteration.

        Raises:
            UserError: less than half of the frames could be decoded, or any is lost or damaged if
                the clip is read with `strict`.
        """
        lost = self.lost
        if lost > self.decoded:
            raise UserError(
                f"{self.path}: {self.decoded} of {self.decoded + lost} frames can be decoded, "
                "expected at least half; the file is damaged or cut short"
            )
        if self.strict and self.damage:
            raise UserError(f"{self.path}: {self.damage[0]}; expected none with --strict")

    def _codec_rate(self) -> Fraction | None:
        """Return the frame rate in the codec's own headers, None without a plausible one."""
        rate = self._stream.codec_context.framerate
        return rate if rate and 0 < rate <= _MOST_FPS else None

    def _orientation(self, frame: VideoFrame) -> Orientation:
        """Return the frame's orientation; PyAV's list of side data is read only if it changes.

        A frame whose side data have been read is kept until the garbage collector runs.
        """
        if frame.rotation != self._rotation:
            self._rotation, self._turned = frame.rotation, orientation_of(frame)
        return self._turned

    def _plane(self, frame: VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
        try:
            plane, limited = plane_of(frame, orientation)
        except FFmpegError as error:
            raise UserError(
                f"{self.path}: frame of pixel format {frame.format.name} cannot become RGB "
                f"({reason(error)}); convert the clip to yuv420p"
            ) from error
        if limited == self.limited:
            return plane
        if limited:
            return expanded(plane)
        raise UserError(
            f"{self.path}: frame {self.decoded} has full range after frames of limited range; "
            "expected one range, cut the clip there"
        )


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _duration_us(container: InputContainer, stream: VideoStream) -> int:
    """Return the declared length of the video stream, else of the file, else 0."""
    if stream.duration and stream.time_base:
        return int(stream.duration * stream.time_base * 1_000_000)
    return int(container.duration or 0)
