"""Previews of odd shapes, and encoders and decoders that fail."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.error import ArgumentError, ExternalError, FFmpegError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from events import UserError
from events.convert import main
from events.generator import EVENTS
from events.preview.preview import event_image, panel_scale
from events.preview.strips import RateStrip, WaveStrip
from events.video.clip import Clip
from events.video.sound import Sound

SIDE = st.integers(1, 32_767)
EIGHT = np.array([(0, 0, t, t < 5) for t in range(8)], dtype=EVENTS)  # five ON, three OFF


def write_clip(path: Path, width: int, height: int) -> Path:
    """Three frames, a bright bar that walks."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(3):
            rgb = np.full((height, width, 3), 60, np.uint8)
            rgb[:, i * width // 3 : (i + 1) * width // 3] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@given(SIDE, SIDE)
def test_no_side_of_a_panel_is_longer_than_allowed(width: int, height: int) -> None:
    for target, most in ((360, 1920), (180, 480)):  # MP4, GIF
        shrink, repeat = panel_scale(width, height, target, most)
        assert shrink >= 1 and repeat >= 1 and min(shrink, repeat) == 1
        assert max(-(-width // shrink), -(-height // shrink)) * repeat <= most
        assert shrink == 1 or max(width, height) > most


@pytest.mark.parametrize(
    "size,expected",
    [
        ((64, 48), (1, 8)),  # 8·48 = 384 ≥ 360
        ((320, 240), (1, 2)),
        ((1920, 1080), (1, 1)),
        ((1920, 40), (1, 1)),  # nine times as wide is 17 280
        ((2000, 2), (2, 1)),
        ((3840, 2160), (2, 1)),
    ],
)
def test_scale_by_hand(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert panel_scale(*size) == expected


def test_a_shrunken_event_image_by_hand() -> None:
    rows = [(5, 2, 0, True), (4, 3, 0, True), (4, 2, 0, False), (1, 0, 0, False)]
    image = event_image(np.array(rows, dtype=EVENTS), 3, 2, shrink=2).astype(int)
    assert image.shape == (2, 3, 3)
    assert image[1, 2].tolist() == [200, 30, 45]  # two ON, one OFF: all the ink, in red
    assert image[0, 0, 2] > image[0, 0, 0] + 50
    assert (image[0, 1:] == 255).all() and (image[1, :2] == 255).all()


@pytest.mark.parametrize("width,height", [(1920, 40), (2000, 2), (2, 2000), (2562, 402)])
def test_clips_of_odd_shapes_have_a_preview(
    tmp_path: Path, width: int, height: int, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, film = write_clip(tmp_path / "a.mkv", width, height), tmp_path / "p.mp4"
    assert main([str(clip), str(tmp_path / "a.h5"), "--preview", str(film)]) == 0
    assert capsys.readouterr().err == ""
    with av.open(str(film)) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == 3 and max(pictures[0].width, pictures[0].height) <= 4000


def fails(*_: object, **__: object) -> None:
    """Fail as PyAV does: with a `ValueError` that is no `OSError`."""
    raise ArgumentError(22, "Invalid\nargument", "film")


@pytest.mark.parametrize("place", ["_open", "add", "close"])
def test_a_film_that_cannot_be_encoded_is_named_in_one_line(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "a.mkv", 64, 48)
    if place == "close":
        monkeypatch.setattr("events.preview.film.os.replace", fails)
    else:
        at = {"_open": "events.preview.film.Film._open", "add": "events.preview.film.VideoFrame"}
        fake = fails if place == "_open" else SimpleNamespace(from_ndarray=fails)
        monkeypatch.setattr(at[place], fake)
    film = tmp_path / "p.mp4"
    assert main([str(clip), str(tmp_path / "a.h5"), "--preview", str(film)]) == 2
    said = capsys.readouterr().err
    assert "p.mp4: this preview of" in said and "(Invalid argument)" in said
    assert said.count("\n") == 1 and os.listdir(tmp_path) == ["a.mkv"]


def test_an_encoder_that_refuses_the_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real thing: what a 1920x40 clip asked for before panels had a largest side.
    monkeypatch.setattr("events.preview.preview.panel_scale", lambda *_: (1, 9))
    clip = write_clip(tmp_path / "a.mkv", 1920, 40)
    assert main([str(clip), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 2
    said = capsys.readouterr().err
    assert "p.mp4: this preview of 34" in said and said.count("\n") == 1
    assert os.listdir(tmp_path) == ["a.mkv"]


@pytest.mark.parametrize("error", [ArgumentError, ExternalError])
def test_a_frame_that_cannot_become_luma_is_named(
    tmp_path: Path, error: type[FFmpegError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error(22, "no such conversion", "swscale")

    monkeypatch.setattr("events.video.clip.plane_of", refuse)
    with (
        Clip(write_clip(tmp_path / "a.mkv", 64, 48)) as clip,
        pytest.raises(UserError, match=r"a\.mkv: frame of pixel format yuv420p cannot become RGB"),
    ):
        list(clip)


def test_a_stream_of_unknown_size_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream: Any = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    # Only the sequence header (00 00 01 B3) knows the size.
    path.write_bytes(path.read_bytes().replace(b"\0\0\1\xb3", b"\0\0\1\xb2"))
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 2
    said = capsys.readouterr().err
    assert "a.ts: no size" in said and said.count("\n") == 1
    assert os.listdir(tmp_path) == ["a.ts"]


def test_event_image_by_hand() -> None:
    rows = [(0, 0, 0, True), (2, 1, 0, False), (2, 1, 1, False), (2, 1, 2, False)]
    image = event_image(np.array(rows, dtype=EVENTS), 3, 2).astype(int)
    assert image.shape == (2, 3, 3)
    assert (image[0, 1:] == 255).all() and (image[1, :2] == 255).all()
    red, blue = image[0, 0], image[1, 2]
    assert red[0] > red[1] + 50 and red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50 and blue.tolist() == [25, 85, 190]


def test_rate_strip_by_hand() -> None:
    strip = RateStrip(100, 96, 1_000_000)
    strip.add(0, 40_000, EIGHT)
    on = 5
    assert np.allclose(strip.rates[:, :4], np.array([[8 - on], [on]]) / 0.04)
    assert not strip.rates[:, 4:].any() and strip.now == 3
    strip.add(990_000, 1_010_000, EIGHT)  # runs over the declared end: sweeps round
    assert strip.now == 0


def test_wave_strip_by_hand() -> None:
    # Ten slices of 0.1 s, each 80 samples at 800 a second.
    strip = WaveStrip(10, 64, 1_000_000, 800)
    samples = np.zeros(200, dtype=np.float32)
    samples[0], samples[79], samples[80], samples[199] = 0.5, -0.25, 0.75, -1.0
    strip.add(Sound(0, samples[:100]))
    strip.add(Sound(100, samples[100:]))  # cuts the second slice in two
    assert strip.high.tolist() == [0.5, 0.75] + [0.0] * 8
    assert strip.low.tolist() == [-0.25, 0.0, -1.0] + [0.0] * 7
    assert strip.peak == 1.0
    strip.add(Sound(800, np.full(80, 0.1, np.float32)))  # past the end: sweeps round
    assert np.allclose([strip.low[0], strip.high[0]], 0.1)
    image = strip.image(9)
    assert (image[32 - 21, 1] == 110).all()  # 0.75 of 29 pixels above the middle, rounded: 22
    assert (image[2:10, 1] == 255).all() and (image[2:-2, 9] == 60).all()


def test_a_gif_shows_what_happened_with_its_own_palette(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for i in range(20):
            rgb = np.full((48, 64, 3), (40, 160, 70), np.uint8)
            rgb[:, 2 * i : 2 * i + 4] = (250, 240, 60)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr0")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    film = tmp_path / "p.gif"
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(film)]) == 0
    capsys.readouterr()
    with Image.open(film) as gif:
        assert gif.format == "GIF" and getattr(gif, "n_frames", 0) == 5  # 380 ms, one every 80
        times, pages = [], []
        for page in ImageSequence.Iterator(gif):
            times.append(page.info["duration"])
            pages.append(np.asarray(page.convert("RGB")).astype(int))
    assert times[:4] == [80] * 4
    assert np.abs(pages[0][100, 14 + 200] - (40, 160, 70)).max() <= 8  # green stays green
    panel = pages[3][36 : 36 + 192, 24 + 256 : 24 + 512]
    red = (panel[..., 0] > 180) & (panel[..., 1] < 120)
    # The bar went from column 16 to 24 since the page before: 4 picture pixels a column.
    assert red[:, 4 * 20 : 4 * 28].all() and not red[:, 4 * 28 :].any()
