"""Every ending and every container that is promised: a small file of each is made and read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec import Codec
from av.format import ContainerFormat

from events.convert import main
from events.files.io import read_events
from events.listing import CLIPS
from events.video.clip import FORMATS, Clip

FRAMES = 6
# FFmpeg's names of a muxer and an encoder for each ending, and the encoder's pixel format.
WRITERS = {
    **dict.fromkeys(("mp4", "m4v", "f4v"), ("mp4", "mpeg4", "yuv420p")),
    **dict.fromkeys(("mov", "qt", "mj2"), ("mov", "mpeg4", "yuv420p")),
    "3gp": ("3gp", "mpeg4", "yuv420p"),
    "3g2": ("3g2", "mpeg4", "yuv420p"),
    "mkv": ("matroska", "ffv1", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
    **dict.fromkeys(("avi", "divx"), ("avi", "mpeg4", "yuv420p")),
    **dict.fromkeys(("mpg", "mpeg", "mod", "tod"), ("mpeg", "mpeg1video", "yuv420p")),
    "vob": ("vob", "mpeg2video", "yuv420p"),
    **dict.fromkeys(("m1v", "mpv"), ("mpeg1video", "mpeg1video", "yuv420p")),
    "m2v": ("mpeg2video", "mpeg2video", "yuv420p"),
    **dict.fromkeys(("ts", "m2t", "tp", "trp"), ("mpegts", "mpeg2video", "yuv420p")),
    **dict.fromkeys(("mts", "m2ts"), ("mpegts", "mpeg2video", "yuv420p")),
    "flv": ("flv", "flv", "yuv420p"),
    **dict.fromkeys(("ogv", "ogg", "ogm"), ("ogg", "libvpx", "yuv420p")),
    **dict.fromkeys(("asf", "wmv"), ("asf", "wmv2", "yuv420p")),
    "gif": ("gif", "gif", "rgb8"),
    "apng": ("apng", "apng", "rgb24"),
    "y4m": ("yuv4mpegpipe", "rawvideo", "yuv420p"),
    "ivf": ("ivf", "libvpx", "yuv420p"),
    **dict.fromkeys(("h264", "264", "avc", "h26l"), ("h264", "libx264", "yuv420p")),
    **dict.fromkeys(("hevc", "265", "h265"), ("hevc", "libx265", "yuv420p")),
}
# Endings that name a container of another one's.
DEMUXERS = {"mpegvideo": "m2v", "mov": "mov", "mpegts": "ts", "matroska": "mkv", "webm": "webm"}


def write(path: Path, ending: str) -> None:
    """Write a small clip: a bright bar moves to the right over 64x48, 10 frames per second."""
    muxer, encoder, pix_fmt = WRITERS[ending]
    try:
        Codec(encoder, "w")
        ContainerFormat(muxer, "w")
    except ValueError:
        pytest.skip(f".{ending} cannot be written: this PyAV has no {encoder} or no {muxer}")
    quiet = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
    rate = 25 if encoder.startswith("mpeg1") else 10  # MPEG-1 has no 10
    with av.open(str(path), "w", format=muxer) as container:
        stream: Any = container.add_stream(encoder, rate=rate, options=quiet)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for i in range(FRAMES):
            image = np.full((48, 64, 3), 40, np.uint8)
            image[:, 8 * i : 8 * i + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def test_every_ending_has_a_writer_here() -> None:
    assert {ending.removeprefix(".") for ending in CLIPS} <= set(WRITERS)


@pytest.mark.parametrize("ending", sorted(CLIPS))
def test_a_clip_of_every_ending_is_converted(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / f"a{ending}", ending.removeprefix("."))
    shutil.copy(folder / f"a{ending}", folder / f"b{ending.upper()}")
    assert main([str(folder), str(tmp_path / "out"), "--engine", "sequential"]) == 0
    assert "2 clips converted" in capsys.readouterr().out
    for name in ("a.h5", "b.h5"):
        found, metadata = read_events(tmp_path / "out" / name)
        assert metadata.frames == FRAMES and metadata.sensor_size == (64, 48, 2)
        assert len(found) > 48 * 8 * (FRAMES - 1)  # the bar enters 8 new columns in each frame


@pytest.mark.parametrize("name", FORMATS)
def test_every_container_is_one_that_ffmpeg_names_so(tmp_path: Path, name: str) -> None:
    assert ContainerFormat(name, "r").name == name
    ending = DEMUXERS.get(name) or next(
        ending for ending, (muxer, *_) in WRITERS.items() if muxer == name
    )
    write(tmp_path / f"a.{ending}", ending)
    with av.open(str(tmp_path / f"a.{ending}")) as container:
        assert name in container.format.name.split(",")
    with Clip(tmp_path / f"a.{ending}") as clip:
        bars = [int(np.median(np.flatnonzero(frame.luma[24] > 130))) for frame in clip]
    # In the middle of the bar, whatever the container and the codec.
    assert np.abs(np.subtract(bars, [8 * i + 8 for i in range(FRAMES)])).max() <= 2
