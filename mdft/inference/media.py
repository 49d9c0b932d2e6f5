"""A clip's frame, events and sound as small files for a web page."""

from __future__ import annotations

import base64
import io

import av
import numpy as np
from av.audio.stream import AudioStream
from PIL import Image

from events.video.footage import Footage
from mdft.data.cells import event_images

NAMES = ("image", "events", "sound")
_HEIGHT, _CELL = 320, 8  # pixels: a frame's height, and the side of an event cell
_BIT_RATE = 32_000
_BLOCK = 1024  # samples in a frame of AAC


def media_of(footage: Footage) -> dict[str, bytes]:
    """A JPEG of the middle frame, a GIF of the events, an MP4 of the sound (empty if silent)."""
    rate = len(footage.sound) // footage.seconds
    return {
        "image": jpeg(footage.frames[len(footage.frames) // 2]),
        "events": gif(footage.bins),
        "sound": mp4(footage.sound, rate) if footage.sound.any() else b"",
    }


def address(kind: str, content: bytes) -> str:
    """A data address that holds a file itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def jpeg(frame: np.ndarray) -> bytes:
    """A frame (H, W, 3) uint8 as JPEG, at most 320 pixels high."""
    image = Image.fromarray(frame)
    image.thumbnail((2 * _HEIGHT, _HEIGHT))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def gif(bins_TKD: np.ndarray) -> bytes:
    """Event bins (T, K, 512) one after the other, each for 1/K s: ON red, OFF blue."""
    images = event_images(bins_TKD.reshape(-1, bins_TKD.shape[-1]))
    pixels = np.rint(255 * images).astype(np.uint8).repeat(_CELL, 1).repeat(_CELL, 2)
    first, *rest = (Image.fromarray(p).quantize(32) for p in pixels)
    file = io.BytesIO()
    each_ms = max(20, round(1000 / bins_TKD.shape[1]))
    first.save(file, "GIF", save_all=True, append_images=rest, duration=each_ms, loop=0)
    return file.getvalue()


def mp4(sound: np.ndarray, rate: int) -> bytes:
    """Mono sound, float32 in ±1, as AAC in MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = _BIT_RATE
        for start in range(0, len(sound), _BLOCK):
            block = np.clip(sound[start : start + _BLOCK], -1, 1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
