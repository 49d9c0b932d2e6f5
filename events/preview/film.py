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

# MPEG-4 part 2, the codec of last resort, has 16 bits for this denominator.
_MP4_TICK = Fraction(1, 50_000)
_GIF_TICK = Fraction(1, 100)
#: Endings of the films that can be written.
FILMS = (".mp4", ".gif")


class Film:
    """A film in the making: add pictures, then `close`. Use it in a ``with``.

    Grows under a temporary name and takes the target's only in `close`. A GIF gets a palette of
    its own for every picture, so that colours hold and nothing needs the whole film.

    Attributes:
        path: of the film.
        size: (width, height), both even.
        codec: of the film: libx264, mpeg4 where this PyAV lacks it, or gif.

    Raises:
        UserError: the target's folder does not exist or cannot be written, or an ending that is
            no film's; here, in `add` and in `close`: the film cannot be encoded.
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
        """Turn what PyAV raises, of which only some is an `OSError`, into a `UserError`."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            width, height = self.size
            raise UserError(
                f"{self.path}: this preview of {width}x{height} pixels cannot be written "
                f"({reason(error)}); try another place, or convert without it"
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
            # What went wrong is on its way up; the trailer of a lost film is not.
            with suppress(FFmpegError, OSError):
                self._container.close()
            self._part.unlink(missing_ok=True)

    def add(self, picture: NDArray[np.uint8], time_us: int) -> None:
        """Show a picture (height, width, 3) uint8 from `time_us` on."""
        with self._named_errors():
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_us * 1e-6 / self._tick), self._tick
            if self._palette is not None:
                self._palette.push(frame)
                frame = cast(VideoFrame, self._palette.pull())
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the film and give it its name."""
        with self._named_errors():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._part, self.path)
        self._closed = True


def check_film(path: Path) -> None:
    """Refuse a target that no film can be written to.

    Raises:
        UserError: an ending that is no film's, or a folder that does not exist.
    """
    if path.suffix.lower() not in FILMS:
        raise UserError(f"{path}: a preview is a film, expected a name in {' or '.join(FILMS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: no folder {path.parent}; make it first")


def _mp4_codec() -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _palette_graph(size: tuple[int, int]) -> Graph:
    """Make the filters that turn each RGB picture into one with a palette of 256 colours."""
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
