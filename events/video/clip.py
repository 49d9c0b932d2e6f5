"""Video files: frames with their time stamps and sound, in one pass and constant memory.

Frames are in the decoder's order, which is display order. Their time stamps can be out of order
nevertheless (AVI with B-frames has stamps in decoding order): they are sorted within a window of 16
frames, the largest reordering of any codec. A frame whose stamp still does not increase is dropped
and counted; one without a stamp is one nominal period after the previous one.

Time 0 is the first frame. If requested, sound comes with the frames, on the same clock
(`events.video.sound`); `events.video.planes` defines luma. The first stream of each kind is used;
cover images are ignored.
"""

from __future__ import annotations

import heapq
from collections import deque
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
from events.video.planes import bits_of, expanded, limited_range, plane_of, rgb_of, turns_of
from events.video.sound import Sound, SoundTrack
from mdft.errors import UserError, reason, require_file

# A text file named .mp4 can make FFmpeg read other files (ffconcat), or be decoded (.ans).
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,apng,h264,hevc,ivf,y4m"
_WINDOW = 16
_MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        time_us: the time after the clip's first frame, µs.
        plane: the luma plane, (H, W) uint8, upright.
        limited: whether the plane has limited range.
        source: the decoder's frame.
        sound: the sound packets of the file since the previous frame, if requested. They need not
            be at the same time as the frame: each segment has its own start.
    """

    time_us: int
    plane: NDArray[np.uint8]
    limited: bool
    source: VideoFrame
    sound: tuple[Sound, ...] = ()

    @property
    def luma(self) -> NDArray[np.uint8]:
        """Full-range luma (H, W) uint8, convention ``full``; rounded if the plane is limited."""
        return expanded(self.plane) if self.limited else self.plane

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Convert to (H, W, 3) uint8 RGB, full range, upright; resized if a size is given."""
        return rgb_of(self.source, width, height)


class Clip:
    """An open video file: iterate once over its `ClipFrame`s, in a ``with``.

    Args:
        path: the video file.
        sound_rate: also decode the sound, to so many samples per second; None: no sound.

    Attributes:
        path: the video file.
        width, height: the size of the upright frames, pixels.
        fps: the nominal frame rate, 0 if the file declares none.
        duration_us: the declared length, 0 if none.
        turns: the quarter turns, counter-clockwise, that make the frames upright.
        bits: the bits per luma sample in the file.
        limited: whether the planes have limited range ("TV"): see `events.response.convention`.
        videos, sounds: the numbers of streams of each kind, without cover images.
        track: the sound, None if there is none or it was not requested.
        decoded, dropped, reordered: the numbers of frames so far that were decoded, dropped
            because their stamp did not increase, and stamped out of order.

    Raises:
        UserError: there is no such file, it is not a regular file or not a video, or it has no
            video stream of known size or no frame; while iterating: a frame cannot be decoded, or
            has another size than the first.
    """

    def __init__(self, path: str | Path, sound_rate: int | None = None) -> None:
        self.path = Path(path)
        require_file(self.path, "a video file")
        self.decoded = self.dropped = self.reordered = 0
        self.track: SoundTrack | None = None
        try:
            options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
            self._container = av.open(str(self.path), options=options)
        except (FFmpegError, ValueError) as error:
            kind = kind_of(self.path)
            if kind is not None:
                raise UserError(
                    f"{self.path}: {kind.name}, expected a video; {kind.advice}"
                ) from error
            raise UserError(
                f"{self.path}: not a video that can be read ({reason(error)}); expected a file "
                "such as mp4, mkv, webm or avi"
            ) from error
        try:
            self._choose(sound_rate)
        except BaseException:
            self._container.close()
            raise

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
        self._stream.thread_type = "AUTO"
        if min(self._stream.width, self._stream.height) < 1:
            raise UserError(
                f"{self.path}: no size of the frames in the video stream; the file is damaged "
                "or cut short"
            )
        if sound_rate is not None and streams.audio:
            self.track = SoundTrack(streams.audio[0], sound_rate)
        self.fps = float(self._stream.average_rate or 0)
        self.duration_us = _duration_us(self._container, self._stream)
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            raise UserError(f"{self.path}: the video stream holds no frame, expected at least one")
        self.turns, self.bits = turns_of(first), bits_of(first)
        sides = (first.width, first.height)
        self.width, self.height = sides[::-1] if self.turns % 2 else sides
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
        self._container.close()

    def __iter__(self) -> Iterator[ClipFrame]:
        """Yield the frames with strictly increasing times, the first at 0."""
        tick = self._stream.time_base or _MICROSECOND
        start: int | None = None
        last = -1
        for stamp, frame in self._in_order():
            start = stamp if start is None else start
            time_us = int((stamp - start) * tick / _MICROSECOND + Fraction(1, 2))
            if time_us <= last:
                self.dropped += 1
                continue
            if (frame.width, frame.height) != self._sides:
                raise UserError(
                    f"{self.path}: frame {self.decoded} is {frame.width}x{frame.height} after "
                    f"{self._sides[0]}x{self._sides[1]}; expected one size, cut the clip there"
                )
            last = time_us
            sound = self.track.take(start * tick) if self.track else ()
            yield ClipFrame(time_us, self._plane(frame), self.limited, frame, sound)

    def _in_order(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield frames in the decoder's order with their time stamps sorted in the window."""
        frames: deque[VideoFrame] = deque()
        stamps: list[int] = []
        newest: int | None = None
        for frame in chain((self._first,), self._frames):
            stamp = frame.pts
            if stamp is None:
                stamp = 0 if newest is None else newest + self._period()
            if newest is not None and stamp < newest:
                self.reordered += 1
            newest = stamp if newest is None else max(newest, stamp)
            frames.append(frame)
            heapq.heappush(stamps, stamp)
            if len(frames) > _WINDOW:
                yield heapq.heappop(stamps), frames.popleft()
        while frames:
            yield heapq.heappop(stamps), frames.popleft()

    def _decode(self) -> Iterator[VideoFrame]:
        """Yield the decoder's frames; feed the sound between them to its track."""
        chosen = [self._stream] if self.track is None else [self._stream, self.track.stream]
        try:
            for packet in self._container.demux(chosen):
                if self.track is not None and packet.stream is self.track.stream:
                    self.track.feed(packet)
                    continue
                for frame in packet.decode():
                    assert isinstance(frame, VideoFrame)
                    self.decoded += 1
                    yield frame
        except FFmpegError as error:
            raise UserError(
                f"{self.path}: cannot be decoded after frame {self.decoded} ({reason(error)}); "
                "the file is damaged or cut short"
            ) from error

    def _plane(self, frame: VideoFrame) -> NDArray[np.uint8]:
        try:
            plane, limited = plane_of(frame)
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

    def _period(self) -> int:
        """Return the nominal frame period in the stream's time base, at least 1."""
        tick = self._stream.time_base or Fraction(1, 1_000_000)
        rate = self._stream.average_rate or Fraction(25)
        return max(1, round(1 / (rate * tick)))


def _duration_us(container: InputContainer, stream: VideoStream) -> int:
    """Return the declared length of the video stream, else of the file, else 0."""
    if stream.duration and stream.time_base:
        return int(stream.duration * stream.time_base * 1_000_000)
    return int(container.duration or 0)
