"""Video decoding: luma, time stamps and broken files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from events import UserError
from events.video.clip import Clip
from tests.events.films import write_video, yuv_frame


@pytest.fixture
def ramp() -> np.ndarray:
    return np.arange(256, dtype=np.uint8).reshape(8, 32)


@pytest.mark.parametrize("range_", [0, 1])
def test_limited_or_undeclared_range_is_expanded(
    tmp_path: Path, ramp: np.ndarray, range_: int
) -> None:
    write_video(tmp_path / "a.mkv", [ramp, ramp[::-1]], "yuv420p", range_, [0, 40])
    with Clip(tmp_path / "a.mkv") as clip:
        first, second = list(clip)
    y = ramp.astype(int)
    expected = np.floor((y.clip(16, 235) - 16) * 255 / 219 + 0.5)
    assert np.array_equal(first.luma, expected)
    assert np.array_equal(second.luma, expected[::-1])
    assert first.luma.dtype == np.uint8 and first.luma.flags.c_contiguous
    assert clip.limited and first.limited and np.array_equal(first.plane, ramp)


def test_full_range_is_left_alone(tmp_path: Path, ramp: np.ndarray) -> None:
    write_video(tmp_path / "a.mkv", [ramp], "yuv420p", 2, [0])
    with Clip(tmp_path / "a.mkv") as clip:
        (frame,) = list(clip)
    assert np.array_equal(frame.luma, ramp) and frame.plane is frame.luma and not clip.limited
    # Neutral colour: R = G = B = luma, whatever way the decoder converts it.
    assert np.abs(frame.rgb().astype(int) - ramp[:, :, None]).max() <= 1


def test_a_format_without_y_plane_goes_through_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2], colours[2:] = (255, 0, 0), (10, 200, 30)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 4, 4, "bgr0"
        frame = VideoFrame.from_ndarray(colours, format="rgb24").reformat(format="bgr0")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Clip(path) as clip:
        (found,) = list(clip)
    # 0.299·255 = 76.2; 0.299·10 + 0.587·200 + 0.114·30 = 123.8
    assert found.luma[0].tolist() == [76] * 4 and found.luma[3].tolist() == [124] * 4


def test_variable_rate_keeps_its_stamps(tmp_path: Path, ramp: np.ndarray) -> None:
    stamps = [1000, 1033, 1034, 1500, 4000]
    write_video(tmp_path / "a.mkv", [ramp] * 5, "yuv420p", 2, stamps)
    with Clip(tmp_path / "a.mkv") as clip:
        times = [frame.time_us for frame in clip]
        assert clip.decoded == 5 and clip.dropped == clip.stamps.reordered == 0
    assert times == [0, 33_000, 34_000, 500_000, 3_000_000]


def stamped(monkeypatch: pytest.MonkeyPatch, path: Path, stamps: list[int | None]) -> Clip:
    """A clip whose decoder yields frames of brightness 0, 1, 2, … with these stamps."""
    write_video(path, [np.zeros((8, 32), np.uint8)], "yuv420p", 2, [0])

    def decode(clip: Clip) -> Iterator[VideoFrame]:
        for i, stamp in enumerate(stamps):
            frame = yuv_frame(np.full((8, 32), i, np.uint8))
            frame.pts, frame.color_range = stamp, 2
            clip.decoded += 1
            yield frame

    monkeypatch.setattr(Clip, "_decode", decode)
    return Clip(path)


def test_stamps_out_of_order_are_sorted_and_frames_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int | None] = [1, 2, 4, 3, 5, 7, 6, 8]
    with stamped(monkeypatch, tmp_path / "a.mkv", order) as clip:
        found = [(frame.time_us, int(frame.luma[0, 0])) for frame in clip]
    assert found == [(1000 * i, i) for i in range(8)]
    assert clip.stamps.reordered == 2 and clip.dropped == 0


def test_repeated_stamps_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stamped(monkeypatch, tmp_path / "a.mkv", [0, 40, 40, 80, 80, 80]) as clip:
        found = [(frame.time_us, int(frame.luma[0, 0])) for frame in clip]
    assert found == [(0, 0), (40_000, 1), (80_000, 3)]
    assert clip.dropped == 3


def test_a_missing_stamp_stands_one_period_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stamped(monkeypatch, tmp_path / "a.mkv", [10, None, 90]) as clip:
        assert [frame.time_us for frame in clip] == [0, 40_000, 80_000]


def test_stamps_far_out_of_order_cost_no_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last stamp comes first: beyond the window no order can be made, so frames are left out.
    stamps: list[int | None] = [1000, *range(100)]
    with stamped(monkeypatch, tmp_path / "a.mkv", stamps) as clip:
        times = [frame.time_us for frame in clip]
    assert times == sorted(set(times)) and len(times) + clip.dropped == 101


def test_zero_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(UserError, match=r"a\.mkv: not a video that can be read \(End of file"):
        Clip(path)
    with pytest.raises(UserError, match=r"b\.mkv: the video stream holds no frame"):
        stamped(monkeypatch, tmp_path / "b.mkv", [])


def test_what_is_not_a_video_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("hello\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, says in [
        (tmp_path / "none.mp4", "none.mp4: cannot be opened"),
        (tmp_path, "a folder, pipe or device"),
        (text, "notes.mp4: not a video"),
        (empty, "empty.mp4: not a video"),
    ]:
        with pytest.raises(UserError, match=says) as caught:
            Clip(path)
        assert "\n" not in str(caught.value)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="pipe or device"):
        Clip(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["film.mp4", "film.ans"])
def test_text_that_ffmpeg_would_play_is_refused(
    tmp_path: Path, ramp: np.ndarray, name: str
) -> None:
    # An ffconcat list reads its sibling; an .ans text is drawn as a film of characters.
    write_video(tmp_path / "sibling.mkv", [ramp], "yuv420p", 2, [0])
    (tmp_path / name).write_text("ffconcat version 1.0\nfile sibling.mkv\n")
    with pytest.raises(UserError, match="not a video"):
        Clip(tmp_path / name)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="no video stream"):
        Clip(path)


def test_the_ucf101_clip_has_its_stamps_out_of_order(shared_data: Path) -> None:
    with Clip(shared_data / "clips" / "mmaction2_test.avi") as clip:
        times = [frame.time_us for frame in clip]
    assert times == [40_000 * i for i in range(164)]
    assert clip.stamps.reordered == 54 and clip.dropped == 0


def test_a_clip_of_variable_rate(shared_data: Path) -> None:
    with Clip(shared_data / "clips" / "mmaction2_part_0.mp4") as clip:
        steps = np.diff([frame.time_us for frame in clip])
    assert len(steps) == 31 and set(steps[:-1].tolist()) == {33_333, 33_334} and steps[-1] == 66_667


def test_a_range_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limited frame after full ones is expanded; a full one after limited ones has no place."""
    write_video(tmp_path / "a.mkv", [np.zeros((8, 32), np.uint8)], "yuv420p", 2, [0])

    def decode(ranges: tuple[int, int]) -> Iterator[VideoFrame]:
        for i, range_ in enumerate(ranges):
            frame = yuv_frame(np.full((8, 32), 126, np.uint8))
            frame.pts, frame.color_range = i, range_
            yield frame

    monkeypatch.setattr(Clip, "_decode", lambda _: decode((2, 1)))
    with Clip(tmp_path / "a.mkv") as clip:
        assert [int(frame.plane[0, 0]) for frame in clip] == [126, 128]  # 255·110/219 = 128.1
    monkeypatch.setattr(Clip, "_decode", lambda _: decode((1, 2)))
    with Clip(tmp_path / "a.mkv") as clip, pytest.raises(UserError, match="one range, cut"):
        list(clip)
