"""Video files to luma frames with true time stamps, in constant memory, through PyAV.

Luma comes from the decoder's Y plane where there is one of 8 bits, expanded from limited to full
range as the file declares (undeclared: limited, but full for yuvj and gray, as FFmpeg assumes);
any other pixel format goes through RGB and `events.rgb_to_luma` (10 bits are cut to 8 there).
Frames keep the decoder's order, which is display order. Their time stamps can be out of order
all the same (AVI with B-frames stamps in decoding order): they are sorted within a window of 16
frames, the deepest reordering any codec makes. A frame whose stamp still does not increase is
left out and counted; one without a stamp stands one nominal period after the one before it.

Time 0 is the first frame. Sound is not decoded here; rotation is not applied.
"""

from __future__ import annotations

import heapq
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from events import kernels
from events.errors import UserError, reason
from events.luma import rgb_to_luma

# A text file named .mp4 can make FFmpeg read other files (ffconcat), or pass as a film (.ans).
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,apng,h264,hevc,ivf,y4m"
_Y_PLANE = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_WINDOW = 16


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        time_us: µs after the clip's first frame.
        luma: (H, W) uint8, convention ``full``.
        source: the decoder's frame.
    """

    time_us: int
    luma: NDArray[np.uint8]
    source: VideoFrame

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Convert to (H, W, 3) uint8 RGB, full range; of another size if one is given."""
        scaled = self.source.to_ndarray(format="rgb24", width=width, height=height)
        return cast(NDArray[np.uint8], scaled)


def luma_of(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return the full-range 8-bit luma (H, W) of a decoded frame; see the module."""
    if frame.format.name not in _Y_PLANE:
        return rgb_to_luma(cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24")))
    plane = frame.planes[0]
    raw = np.frombuffer(cast(Any, plane), dtype=np.uint8).reshape(-1, plane.line_size)
    view = raw[: frame.height, : frame.width]
    declared = int(frame.color_range)
    full_by_name = frame.format.name.startswith("yuvj") or frame.format.name == "gray"
    if declared == _FULL_RANGE or (full_by_name and not declared):
        return view.copy()
    out = np.empty(view.shape, dtype=np.uint8)
    kernels.expand_limited(view, out)
    return out


class Clip:
    """A video file, opened: iterate once for its `ClipFrame`s. Use it in a ``with``.

    Attributes:
        path: of the file.
        width, height: of the first video stream, pixels.
        fps: nominal frame rate, 0 if the file declares none.
        duration_us: declared length, 0 if none.
        decoded, dropped, reordered: frames so far: read, left out because their stamp did not
            increase, stamped out of order.

    Raises:
        UserError: no such file, not a regular file, not a video, no video stream or none of a
            known size; while iterating: no frame at all, or one that cannot be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _require_file(self.path)
        try:
            options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
            self._container = av.open(str(self.path), options=options)
        except (FFmpegError, ValueError) as error:
            raise UserError(
                f"{self.path}: not a video that can be read ({reason(error)}); expected a file "
                "such as mp4, mkv, webm or avi"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise UserError(f"{self.path}: no video stream in it, expected at least one")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.width, self.height = self._stream.width, self._stream.height
        if min(self.width, self.height) < 1:
            self._container.close()
            raise UserError(
                f"{self.path}: no size of the pictures in the video stream; the file is damaged "
                "or cut short"
            )
        self.fps = float(self._stream.average_rate or 0)
        self.duration_us = _duration_us(self._container, self._stream)
        self.decoded = self.dropped = self.reordered = 0

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
        tick = self._stream.time_base or Fraction(1, 1_000_000)
        start: int | None = None
        last = -1
        for stamp, frame in self._in_order():
            start = stamp if start is None else start
            time_us = int((stamp - start) * tick * 1_000_000 + Fraction(1, 2))
            if time_us <= last:
                self.dropped += 1
                continue
            if (frame.width, frame.height) != (self.width, self.height):
                raise UserError(
                    f"{self.path}: frame {self.decoded} is {frame.width}x{frame.height} after "
                    f"{self.width}x{self.height}; expected one size, cut the clip there"
                )
            last = time_us
            yield ClipFrame(time_us, self._luma(frame), frame)
        if start is None:
            raise UserError(f"{self.path}: the video stream holds no frame, expected at least one")

    def _in_order(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield frames in the decoder's order with their time stamps sorted in the window."""
        frames: deque[VideoFrame] = deque()
        stamps: list[int] = []
        newest: int | None = None
        for frame in self._decode():
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
        try:
            for frame in self._container.decode(self._stream):
                self.decoded += 1
                yield frame
        except FFmpegError as error:
            raise UserError(
                f"{self.path}: cannot be decoded after frame {self.decoded} ({reason(error)}); "
                "the file is damaged or cut short"
            ) from error

    def _luma(self, frame: VideoFrame) -> NDArray[np.uint8]:
        try:
            return luma_of(frame)
        except FFmpegError as error:
            raise UserError(
                f"{self.path}: frame of pixel format {frame.format.name} cannot become RGB "
                f"({reason(error)}); convert the clip to yuv420p"
            ) from error

    def _period(self) -> int:
        """Return the nominal distance of two frames in the stream's time base, at least 1."""
        tick = self._stream.time_base or Fraction(1, 1_000_000)
        rate = self._stream.average_rate or Fraction(25)
        return max(1, round(1 / (rate * tick)))


def _require_file(path: Path) -> None:
    """Refuse what is no regular file: opening a pipe would hang."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be opened ({reason}); expected a video file") from error
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a folder, pipe or device, expected a video file")


def _duration_us(container: InputContainer, stream: VideoStream) -> int:
    """Return the declared length of the video stream, else of the file, else 0."""
    if stream.duration and stream.time_base:
        return int(stream.duration * stream.time_base * 1_000_000)
    return int(container.duration or 0)
