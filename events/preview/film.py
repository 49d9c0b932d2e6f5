"""Write MP4 or GIF files from frames and their times, atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

import av
import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mdft.errors import UserError, reason

# MPEG-4 part 2, the fallback codec, has 16 bits for this denominator.
_MP4_TICK = Fraction(1, 50_000)
_GIF_TICK = Fraction(1, 100)
#: Endings of the video files that can be written.
FILMS = (".mp4", ".gif")


class Film:
    """Writer of a video file: `add` frames, then `close`, in a ``with``.

    The file has a temporary name and is renamed in `close`. In a GIF every frame has its own
    palette, so that colours are kept and memory stays constant.

    Attributes:
        path: the file to write.
        size: (width, height), both even.
        codec: libx264, mpeg4 if this PyAV lacks it, or gif.

    Raises:
        UserError: the target's folder does not exist or cannot be written, or the ending is not
            supported; here, in `add` and in `close`: the video cannot be encoded.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], rate: Fraction) -> None:
        self.path, self.size = Path(path), size
        check_film(self.path)
        gif = self.path.suffix.lower() == ".gif"
        self._tick = _GIF_TICK if gif else _MP4_TICK
        self.codec = "gif" if gif else _mp4_codec()
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._closed = False
        with self._named_errors():
            self._palette = _palette_graph(size) if gif else None
            self._open(rate)

    def _open(self, rate: Fraction) -> None:
        gif = self.codec == "gif"
        self._container = av.open(str(self._part), "w", format="gif" if gif else "mp4")
        options = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"q": "4"}}
        codec = cast(Literal["libx264"], self.codec)
        self._stream: VideoStream = self._container.add_stream(
            codec, rate=rate, options=options.get(self.codec)
        )
        self._stream.width, self._stream.height = self.size
        self._stream.pix_fmt = "pal8" if gif else "yuv420p"
        self._stream.codec_context.time_base = self._tick

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn the exceptions of PyAV, of which only some are `OSError`, into a `UserError`."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            width, height = self.size
            raise UserError(
                f"{self.path}: this preview of {width}x{height} pixels cannot be written "
                f"({reason(error)}); try another folder, or convert without it"
            ) from error

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._closed:
            # An exception is being raised already: an error in the trailer must not hide it.
            with suppress(FFmpegError, OSError):
                self._container.close()
            self._part.unlink(missing_ok=True)

    def add(self, image: NDArray[np.uint8], time_us: int) -> None:
        """Add a frame (height, width, 3) uint8 that is displayed from `time_us` on."""
        with self._named_errors():
            frame = VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_us * 1e-6 / self._tick), self._tick
            if self._palette is not None:
                self._palette.push(frame)
                frame = cast(VideoFrame, self._palette.pull())
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the video and rename the file to the target."""
        with self._named_errors():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._part, self.path)
        self._closed = True


def check_film(path: Path) -> None:
    """Check that a video can be written to a path.

    Raises:
        UserError: the ending is not supported, or the folder does not exist.
    """
    if path.suffix.lower() not in FILMS:
        raise UserError(f"{path}: a preview is a video, expected a name in {' or '.join(FILMS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: no folder {path.parent}; create it first")


def _mp4_codec() -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _palette_graph(size: tuple[int, int]) -> Graph:
    """Make the filters that convert each RGB frame to a palette of 256 colours."""
    graph = Graph()
    source = graph.add_buffer(
        width=size[0], height=size[1], format=av.VideoFormat("rgb24"), time_base=_GIF_TICK
    )
    split = graph.add("split")
    chosen = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    used = graph.add("paletteuse", "new=1:dither=none")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(chosen, 1, 0)
    chosen.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    return graph
