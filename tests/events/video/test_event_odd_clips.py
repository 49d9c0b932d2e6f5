"""Clips as they come: one frame, odd sizes, deep samples, rotated, several streams, any length."""

from __future__ import annotations

import math
import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import VideoFrame

from events import Sensor, UserError, frames_to_events, pool
from events.convert import main
from events.files.io import read_events
from events.job import Job, convert
from events.video.clip import Clip
from tests.events.films import write_film, write_video, yuv_frame


def test_one_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_video(tmp_path / "a.mkv", [ramp], "yuv420p", 2, [1234])
    films = ("p.mp4", "p.gif")
    for film in films:
        arguments = [str(tmp_path / name) for name in ("a.mkv", "a.h5")]
        assert main([*arguments, "--preview", str(tmp_path / film)]) == 0
        with av.open(str(tmp_path / film)) as container:
            assert len(list(container.decode(video=0))) == 1
    assert capsys.readouterr().err == ""
    found, metadata = read_events(tmp_path / "a.h5")
    assert len(found) == 0 and (metadata.frames, metadata.duration_us) == (1, 0)
    assert pool(found, metadata.sensor_size, seconds=metadata.seconds).shape == (1, 8, 512)


@pytest.mark.parametrize("size", [(1, 1), (33, 17), (7, 2)])
def test_odd_sizes(
    tmp_path: Path, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    width, height = size
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        for plane in planes:
            container.mux(stream.encode(VideoFrame.from_ndarray(plane, format="gray")))
        container.mux(stream.encode(None))
    with Clip(tmp_path / "a.mkv") as clip:
        assert np.array_equal(np.stack([frame.luma for frame in clip]), planes)
    arguments = [str(tmp_path / name) for name in ("a.mkv", "a.npz")]
    assert main([*arguments, "--preview", str(tmp_path / "p.mp4")]) == 0
    assert capsys.readouterr().err == ""
    expected = frames_to_events(planes, np.array([0, 40_000, 80_000]))
    assert np.array_equal(read_events(tmp_path / "a.npz")[0], expected)


@pytest.mark.parametrize("range_", [0, 1, 2])
@pytest.mark.parametrize("pix_fmt,bits", [("yuv420p10le", 10), ("gray12le", 12)])
def test_more_than_8_bits_are_rounded_and_not_cut(
    tmp_path: Path, pix_fmt: str, bits: int, range_: int
) -> None:
    levels = np.arange(1 << bits, dtype=np.uint16).reshape(-1, 32)
    height, width = levels.shape
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25, options={"strict": "-2"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.color_range = range_
        frame = VideoFrame(width, height, pix_fmt)
        frame.planes[0].update(padded(levels, frame.planes[0].line_size))
        for chroma in frame.planes[1:]:
            chroma.update(np.full(chroma.buffer_size // 2, 512, np.uint16).tobytes())
        frame.pts, frame.color_range = 0, range_
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Clip(tmp_path / "a.mkv") as clip:
        (found,) = list(clip)
        assert clip.bits == bits
    full = range_ == 2 or (range_ == 0 and pix_fmt.startswith("gray"))
    for y, luma in zip(levels.reshape(-1).tolist(), found.luma.reshape(-1).tolist(), strict=True):
        # Exactly: 255·y/(2^b − 1), or 255/219·(y/2^(b−8) − 16).
        exact = Fraction(255 * y, 2**bits - 1)
        if not full:
            exact = Fraction(255, 219) * (Fraction(y, 2 ** (bits - 8)) - 16)
        assert luma == min(255, max(0, math.floor(exact + Fraction(1, 2))))


def padded(plane: np.ndarray, line_size: int) -> bytes:
    rows = np.zeros((len(plane), line_size // plane.itemsize), plane.dtype)
    rows[:, : plane.shape[1]] = plane
    return rows.tobytes()


def test_yuvj_is_full_range(tmp_path: Path) -> None:
    # Motion JPEG of flat pictures: exact to a level.
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25, options={"q": "1"})
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj420p"
        stream.codec_context.color_range = 2
        for level in (0, 5, 128, 250, 255):
            frame = yuv_frame(np.full((16, 32), level, np.uint8), "yuvj420p")
            frame.color_range = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Clip(tmp_path / "a.avi") as clip:
        frames = list(clip)
    assert frames[0].source.format.name == "yuvj420p"
    levels = [int(frame.luma[8, 16]) for frame in frames]
    assert np.abs(np.subtract(levels, [0, 5, 128, 250, 255])).max() <= 1


# The nine numbers of a track header that turn its pictures clockwise by so many degrees.
TURNS = {
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


@pytest.mark.parametrize("clockwise", sorted(TURNS))
def test_a_rotated_clip_is_set_upright(
    tmp_path: Path, clockwise: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As telephones write them: lying pictures, and a matrix in the track header."""
    path = tmp_path / "a.mp4"
    scene = np.full((48, 64), 60, np.uint8)
    scene[:24, :32], scene[24:, :32] = 120, 230  # top left, bottom left
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25, options={"q": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_range = 1
        for shift in range(3):
            container.mux(stream.encode(yuv_frame(np.roll(scene, 16 * shift, axis=1))))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    begin = data.index(b"tkhd") + 44
    a, b, c, d = (65536 * n for n in TURNS[clockwise])
    data[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with Clip(path) as clip:
        first = next(iter(clip))
        size = (clip.width, clip.height)
    upright = np.rot90(scene, -clockwise // 90)
    assert size == upright.shape[::-1]
    expected = (upright.astype(float) - 16) * 255 / 219
    assert first.luma.flags.c_contiguous
    assert np.abs(first.luma - expected).max() < 12
    assert np.abs(first.rgb()[..., 1] - expected).max() < 12
    assert first.rgb(20, 10).shape == (10, 20, 3)
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 0
    assert ("frames rotated" in capsys.readouterr().out) == (clockwise > 0)
    found, metadata = read_events(tmp_path / "a.h5")
    assert metadata.sensor_size == (*size, 2) and len(found) > 1000


def test_the_first_film_is_taken_and_a_cover_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("mjpeg", rate=25) for _ in range(3)]
        streams[0].disposition = Disposition.attached_pic
        for stream, width in zip(streams, (16, 32, 64), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 16, "yuvj420p"
            stream.codec_context.color_range = 2
        for stream, level in zip(streams, (10, 100, 200), strict=True):
            frame = yuv_frame(np.full((16, stream.width), level, np.uint8), "yuvj420p")
            frame.color_range = 2
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with Clip(path) as clip:
        assert (clip.videos, clip.width) == (2, 32)
        assert [int(frame.luma[8, 8]) for frame in clip] == [100]


@pytest.mark.parametrize("outs", [("a.h5", "p.gif"), ("a.npz", "p.mp4")])
def test_memory_does_not_grow_with_the_clip(tmp_path: Path, outs: tuple[str, str]) -> None:
    """Four times the frames, events, sound and pictures of a preview: the same peak of memory."""
    event_file, film = (tmp_path / out for out in outs)
    peaks = []
    for seconds in (2, 8):
        path = tmp_path / f"{seconds}.mkv"
        write_film(path, 10 * seconds, 10, np.zeros(8000 * seconds, np.float32), 8000)
        job = Job(path, event_file, Sensor(0.02), film)
        if not peaks:
            convert(job)  # what it imports and compiles is not counted, and slow to trace
        tracemalloc.start()
        convert(job)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 500_000, peaks


def test_a_stream_that_nothing_decodes_is_named(tmp_path: Path) -> None:
    """Damage in the name of the codec is enough."""
    path = write_film(tmp_path / "a.mkv", 4, 8, None, 8000)
    content = path.read_bytes()
    assert content.count(b"V_MPEG4/ISO/ASP") == 1
    path.write_bytes(content.replace(b"V_MPEG4/ISO/ASP", b"V_MPEG4/ISO/zzz"))
    with pytest.raises(UserError, match="no decoder for its video stream"):
        Clip(path)
