"""Films with sound for tests, written with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame


def write_film(
    path: Path,
    frames: int,
    fps: int,
    sound: np.ndarray | None,
    rate: int,
    *,
    layout: str = "mono",
    delay_s: float = 0.0,
    frame_delay_s: float = 0.0,
    codec: str = "pcm_s16le",
) -> Path:
    """A bar that walks over 64x48, and sound (n,) or (channels, n) in ±1, interleaved.

    Args:
        path: to write.
        frames: how many.
        fps: a second.
        sound: None for none.
        rate: samples a second.
        layout: of the channels.
        delay_s: when the sound begins.
        frame_delay_s: when the pictures begin.
        codec: of the sound.
    """
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=fps)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio: Any = None
        if sound is not None:
            audio = container.add_stream(codec, rate=rate, layout=layout)
            pcm = np.atleast_2d(np.rint(np.asarray(sound) * 32767).astype(np.int16))
        heard = 0
        for i in range(frames):
            rgb = np.full((48, 64, 3), 60, np.uint8)
            rgb[:, 4 * i % 64 : 4 * i % 64 + 8] = 220
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(1000 * (frame_delay_s + i / fps)), Fraction(1, 1000)
            container.mux(video.encode(frame))
            if audio is not None:
                until = pcm.shape[1] if i == frames - 1 else rate * (i + 1) // fps
                block = np.ascontiguousarray(pcm[:, heard:until].T.reshape(1, -1))
                if block.size:
                    packed = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                    packed.sample_rate, packed.time_base = rate, Fraction(1, rate)
                    packed.pts = heard + round(delay_s * rate)
                    container.mux(audio.encode(packed))
                heard = until
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def write_video(
    path: Path, planes: list[np.ndarray], pix_fmt: str, range_: int, stamps_ms: list[int]
) -> None:
    """A lossless clip (FFV1) with the given first planes, neutral colour, and true stamps."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        height, width = planes[0].shape
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.color_range = range_
        for plane, stamp in zip(planes, stamps_ms, strict=True):
            frame = yuv_frame(plane, pix_fmt)
            frame.pts, frame.time_base, frame.color_range = stamp, Fraction(1, 1000), range_
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def yuv_frame(plane: np.ndarray, pix_fmt: str = "yuv420p") -> Any:
    height, width = plane.shape
    neutral = np.full((height // 2, width), 128, np.uint8)
    return VideoFrame.from_ndarray(np.concatenate([plane, neutral]), format=pix_fmt)
