"""A preview of a conversion: RGB beside red (ON) and blue (OFF) events on white, rate and sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from events.preview.film import Film
from events.preview.strips import INK, OFF, ON, RateStrip, WaveStrip
from events.video.clip import Clip, ClipFrame

#: Samples per second of the sound in a preview.
SOUND_RATE = 8000
_Colour = tuple[int, int, int]
_FAINT = (225, 225, 225)
_MARGIN, _CAPTION, _RATE_STRIP, _WAVE_STRIP = 12, 24, 96, 64
# A panel's height and largest side in pixels; a GIF takes five times as many bytes.
_PANEL = {".mp4": (360, 1920), ".gif": (180, 480)}
_GIF_PERIOD_US = 80_000


def panel_scale(width: int, height: int, target: int = 360, most: int = 1920) -> tuple[int, int]:
    """Choose (shrink, repeat): a pixel of the panel is shrink² sensor pixels, drawn repeat² times.

    Panels are about `target` pixels high, but neither side is longer than `most`: the video has
    two of them, and H.264 encoders accept at most 16384 pixels per side.
    """
    shrink = -(-max(width, height) // most)
    repeat = min(-(-target // height), most // max(width, height))
    return shrink, max(1, repeat)


def event_image(
    events: NDArray[np.void], width: int, height: int, shrink: int = 1
) -> NDArray[np.uint8]:
    """Draw events on white: (height, width, 3) uint8, red for mostly ON, blue for mostly OFF.

    A pixel of the image is shrink² pixels of the sensor: column x // shrink, row y // shrink. One
    event gives 70 % of the colour, three or more give 100 %.
    """
    pixel = events["y"].astype(np.int64) // shrink * width + events["x"] // shrink
    on = np.bincount(pixel[events["p"]], minlength=width * height)
    off = np.bincount(pixel[~events["p"]], minlength=width * height)
    hit = np.flatnonzero(on + off)
    ink = np.minimum(0.55 + 0.15 * (on[hit] + off[hit]), 1.0)[:, None]
    colour = np.where((on[hit] >= off[hit])[:, None], np.array(ON), np.array(OFF))
    image = np.full((height * width, 3), 255, dtype=np.uint8)
    image[hit] = 255.0 + ink * (colour - 255.0)
    return image.reshape(height, width, 3)


class Preview:
    """Writer of a preview: `add` every frame, then `close`, in a ``with``.

    An MP4 has one image per frame. A GIF has one every 80 ms, with all events since the previous
    image.

    Raises:
        UserError: see `events.preview.film.Film`.
    """

    def __init__(self, path: str | Path, clip: Clip) -> None:
        gif = Path(path).suffix.lower() == ".gif"
        self.shrink, self.repeat = panel_scale(
            clip.width, clip.height, *_PANEL[".gif" if gif else ".mp4"]
        )
        self.drawn = (-(-clip.width // self.shrink), -(-clip.height // self.shrink))
        self.panel = (self.drawn[0] * self.repeat, self.drawn[1] * self.repeat)
        inner = 2 * self.panel[0] + _MARGIN
        self.rate = RateStrip(inner, _RATE_STRIP, clip.duration_us)
        self.wave = None
        below = 2 * _CAPTION + self.panel[1] + _RATE_STRIP
        if clip.track is not None:
            self.wave = WaveStrip(inner, _WAVE_STRIP, clip.duration_us, SOUND_RATE)
            below += _CAPTION + _WAVE_STRIP
        wide, high = inner + 2 * _MARGIN, below + 6 + 2 * _MARGIN
        self.last_us: int | None = None
        self._period = _GIF_PERIOD_US if gif else 0
        self._due = 0
        self._unseen: list[NDArray[np.void]] = []
        self._font = ImageFont.load_default(size=14)
        fps = Fraction(clip.fps).limit_denominator(1001)
        size = (wide + wide % 2, high + high % 2)
        self.film = Film(path, size, fps if fps > 0 else Fraction(25))

    def __enter__(self) -> Preview:
        self.film.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.film.__exit__(kind, error, trace)

    def add(self, frame: ClipFrame, events: NDArray[np.void]) -> None:
        """Add a frame, the events since the previous frame, and the sound that came with it."""
        if self.wave is not None:
            for sound in frame.sound:
                self.wave.add(sound)
        if self.last_us is not None:
            self.rate.add(self.last_us, frame.time_us, events)
        self.last_us = frame.time_us
        self._unseen.append(events)
        if frame.time_us >= self._due:
            self.film.add(self.compose(frame, np.concatenate(self._unseen)), frame.time_us)
            self._due = frame.time_us + self._period
            self._unseen = []

    def compose(self, frame: ClipFrame, events: NDArray[np.void]) -> NDArray[np.uint8]:
        """Draw one image of the preview, (height, width, 3) uint8."""
        width, height = self.film.size
        page = np.full((height, width, 3), 255, dtype=np.uint8)
        top, left, right = _MARGIN + _CAPTION, _MARGIN, 2 * _MARGIN + self.panel[0]
        bottom = top + self.panel[1]
        page[top - 1 : bottom + 1, right - 1 : right + self.panel[0] + 1] = _FAINT
        page[top:bottom, left : left + self.panel[0]] = frame.rgb(*self.panel)
        drawn = event_image(events, *self.drawn, self.shrink)
        drawn = drawn.repeat(self.repeat, axis=0).repeat(self.repeat, axis=1)
        page[top:bottom, right : right + self.panel[0]] = drawn
        at = bottom + 6
        self._strip(page, at, self.rate.image(), self.rate.label())
        if self.wave is not None:
            at += _CAPTION + _RATE_STRIP
            self._strip(page, at, self.wave.image(self.rate.now), self.wave.label())
        title = ((f"{frame.time_us / 1e6:.2f} s", INK),)
        legend = (("events: ", INK), ("brighter ", ON), ("darker", OFF))
        self._write(page, left, _MARGIN, title)
        self._write(page, right, _MARGIN, legend)
        return page

    def _strip(self, page: NDArray[np.uint8], y: int, image: NDArray[np.uint8], label: str) -> None:
        self._write(page, _MARGIN, y, ((label, INK),))
        top = y + _CAPTION
        page[top : top + len(image), _MARGIN : _MARGIN + image.shape[1]] = image

    def _write(
        self, page: NDArray[np.uint8], x: int, y: int, words: tuple[tuple[str, _Colour], ...]
    ) -> None:
        """Write text on a white label with its top left corner at (x, y)."""
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
        """Finish the video and rename the file to the target."""
        self.film.close()
