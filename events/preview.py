"""A preview of a conversion: RGB beside red (ON) and blue (OFF) events on white, and their rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from events.errors import UserError, reason
from events.video import ClipFrame

_Colour = tuple[int, int, int]
_ON, _OFF = (200, 30, 45), (25, 85, 190)
_INK, _FAINT = (60, 60, 60), (225, 225, 225)
_MARGIN, _CAPTION, _STRIP = 12, 24, 96
_PANEL_HEIGHT, _PANEL_MOST = 360, 1920
# MPEG-4 part 2, the codec of last resort, has 16 bits for this denominator.
_TICK = Fraction(1, 50_000)
_SWEEP_US = 10_000_000


def panel_scale(width: int, height: int) -> tuple[int, int]:
    """Choose (shrink, repeat) of a sensor: one picture pixel is shrink² pixels, drawn repeat².

    Panels are 360 pixels high or a little more, but neither side is longer than 1920: the film
    holds two of them, and an H.264 encoder refuses pictures of more than 16384 pixels a side.
    """
    shrink = -(-max(width, height) // _PANEL_MOST)
    repeat = min(-(-_PANEL_HEIGHT // height), _PANEL_MOST // max(width, height))
    return shrink, max(1, repeat)


def event_image(
    events: NDArray[np.void], width: int, height: int, shrink: int = 1
) -> NDArray[np.uint8]:
    """Draw events on white: (height, width, 3) uint8, red where ON prevails, blue where OFF does.

    A pixel of the picture stands for shrink² of the sensor's: column x // shrink, row
    y // shrink. Its first event gives 70 % of the ink, three or more all of it.
    """
    pixel = events["y"].astype(np.int64) // shrink * width + events["x"] // shrink
    on = np.bincount(pixel[events["p"]], minlength=width * height)
    off = np.bincount(pixel[~events["p"]], minlength=width * height)
    hit = np.flatnonzero(on + off)
    ink = np.minimum(0.55 + 0.15 * (on[hit] + off[hit]), 1.0)[:, None]
    colour = np.where((on[hit] >= off[hit])[:, None], np.array(_ON), np.array(_OFF))
    image = np.full((height * width, 3), 255, dtype=np.uint8)
    image[hit] = 255.0 + ink * (colour - 255.0)
    return image.reshape(height, width, 3)


class RateStrip:
    """ON and OFF events a second over the clip: one column of pixels per slice of time.

    The time axis is the declared duration; a clip that declares none, or runs over, sweeps round
    like an oscilloscope, so that memory stays constant.
    """

    def __init__(self, width: int, duration_us: int) -> None:
        self.width, self.span = width, duration_us or _SWEEP_US
        self.rates = np.zeros((2, width))  # OFF, ON
        self.now = 0

    def add(self, begin_us: int, end_us: int, events: NDArray[np.void]) -> None:
        """Enter the events of one interval between frames."""
        first, last = (int(t * self.width / self.span) for t in (begin_us, end_us))
        columns = np.arange(first, max(last, first + 1)) % self.width
        on = int(np.count_nonzero(events["p"]))
        per_second = 1e6 / (end_us - begin_us)
        self.rates[:, columns] = np.array([[len(events) - on], [on]]) * per_second
        self.now = int(columns[-1])

    def image(self) -> NDArray[np.uint8]:
        """Draw it, (strip height, width, 3) uint8: ON upwards in red, OFF downwards in blue."""
        middle = _STRIP // 2
        peak = max(float(self.rates.max()), 1.0)
        bars = np.rint(self.rates / peak * (middle - 4))
        above = middle - np.arange(_STRIP)[:, None]
        image = np.full((_STRIP, self.width, 3), 255, dtype=np.uint8)
        image[(above > 0) & (above <= bars[1])] = _ON
        image[(above < 0) & (above >= -bars[0])] = _OFF
        image[middle] = _INK
        image[2:-2, self.now] = _INK
        return image

    def label(self) -> str:
        """Say what the highest bar stands for."""
        return f"peak {self.rates.max() / 1e6:.2f} Mev/s per polarity"


class Preview:
    """The film in the making: add every frame, then `close`. Use it in a ``with``.

    Grows under a temporary name and takes the target's only in `close`.

    Raises:
        UserError: the target's folder does not exist or cannot be written; here, in `add` and in
            `close`: the film cannot be encoded.
    """

    def __init__(
        self, path: str | Path, width: int, height: int, fps: float, duration_us: int
    ) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise UserError(f"{self.path}: no folder {self.path.parent}; make it first")
        self.shrink, self.repeat = panel_scale(width, height)
        self.drawn = (-(-width // self.shrink), -(-height // self.shrink))
        self.panel = (self.drawn[0] * self.repeat, self.drawn[1] * self.repeat)
        inner = 2 * self.panel[0] + _MARGIN
        below = _CAPTION + self.panel[1] + _MARGIN + _STRIP
        wide, high = inner + 2 * _MARGIN, below + 2 * _MARGIN
        self.size = (wide + wide % 2, high + high % 2)
        self.strip = RateStrip(inner, duration_us)
        self.last_us: int | None = None
        self.codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._font = ImageFont.load_default(size=14)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        with self._named_errors():
            self._open(Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(25))

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

    def _open(self, rate: Fraction) -> None:
        self._container = av.open(str(self._part), "w", format="mp4")
        codec: Literal["libx264", "mpeg4"] = "libx264" if self.codec == "libx264" else "mpeg4"
        options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"q": "4"}
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.width, self._stream.height = self.size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TICK
        self._closed = False

    def __enter__(self) -> Preview:
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

    def add(self, frame: ClipFrame, events: NDArray[np.void]) -> None:
        """Add a frame and the events since the one before it."""
        if self.last_us is not None:
            self.strip.add(self.last_us, frame.time_us, events)
        self.last_us = frame.time_us
        with self._named_errors():
            picture = VideoFrame.from_ndarray(self.compose(frame, events), format="rgb24")
            picture.pts = round(frame.time_us * 1e-6 / _TICK)
            picture.time_base = _TICK
            self._container.mux(self._stream.encode(picture))

    def compose(self, frame: ClipFrame, events: NDArray[np.void]) -> NDArray[np.uint8]:
        """Draw one picture of the film, (height, width, 3) uint8."""
        page = np.full((self.size[1], self.size[0], 3), 255, dtype=np.uint8)
        top, left, right = _MARGIN + _CAPTION, _MARGIN, 2 * _MARGIN + self.panel[0]
        bottom = top + self.panel[1]
        page[top - 1 : bottom + 1, right - 1 : right + self.panel[0] + 1] = _FAINT
        page[top:bottom, left : left + self.panel[0]] = frame.rgb(*self.panel)
        drawn = event_image(events, *self.drawn, self.shrink)
        drawn = drawn.repeat(self.repeat, axis=0).repeat(self.repeat, axis=1)
        page[top:bottom, right : right + self.panel[0]] = drawn
        strip_top = bottom + _MARGIN
        page[strip_top : strip_top + _STRIP, left : left + self.strip.width] = self.strip.image()
        title = ((f"{frame.time_us / 1e6:.2f} s", _INK),)
        legend = (("events: ", _INK), ("brighter ", _ON), ("darker", _OFF))
        self._write(page, left, _MARGIN, title)
        self._write(page, right, _MARGIN, legend)
        self._write(page, left + 4, strip_top, ((self.strip.label(), _INK),))
        return page

    def _write(
        self, page: NDArray[np.uint8], x: int, y: int, words: tuple[tuple[str, _Colour], ...]
    ) -> None:
        """Write words into the page on a white label, its top left corner at (x, y)."""
        length = sum(self._font.getlength(word) for word, _ in words)
        label = Image.new("RGB", (int(length) + 6, _CAPTION - 4), (255, 255, 255))
        canvas = ImageDraw.Draw(label)
        at = 0.0
        for word, colour in words:
            canvas.text((at, 0), word, fill=colour, font=self._font)
            at += self._font.getlength(word)
        target = page[y : y + label.height, x : x + label.width]
        target[:] = np.asarray(label)[:, : target.shape[1]]

    def close(self) -> None:
        """Finish the film and give it its name."""
        with self._named_errors():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._part, self.path)
        self._closed = True
