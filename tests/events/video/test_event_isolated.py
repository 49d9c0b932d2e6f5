"""Clips read in a process of their own: what they hold, and what becomes of the bad ones."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from events import UserError, frames_to_bins, rgb_to_luma
from events.video.footage import Wanted, read_footage
from events.video.isolated import IsolatedReader, Limits

FPS, SIDE, RATE = 8, 32, 8000


def pictures(seconds: float) -> np.ndarray:
    """A bright square on dark ground that moves a pixel a frame; (F, 32, 48, 3) uint8."""
    frames = np.full((round(seconds * FPS), SIDE, 48, 3), 40, np.uint8)
    for i, frame in enumerate(frames):
        frame[8:24, i % 24 : i % 24 + 16] = 200
    return frames


def write(path: Path, seconds: float = 2.0, sound: bool = True) -> Path:
    """A clip without loss: FFV1 and PCM, each pixel twice as wide and high."""
    with av.open(str(path), "w") as file:
        video = cast(VideoStream, file.add_stream("ffv1", rate=FPS))
        video.width, video.height, video.pix_fmt = 96, 64, "bgr0"
        audio = None
        if sound:
            audio = cast(AudioStream, file.add_stream("pcm_s16le", rate=RATE, layout="mono"))
        for image in pictures(seconds):
            large = np.ascontiguousarray(image.repeat(2, 0).repeat(2, 1))
            file.mux(video.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
        file.mux(video.encode(None))
        if audio is not None:
            tone = np.sin(np.arange(round(seconds * RATE)) * 0.1) * 16000
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
    return path


def wanted(path: Path, **changes) -> Wanted:
    return Wanted(str(path), frame_size=SIDE, event_size=SIDE, sound_rate=RATE, **changes)


@pytest.fixture(scope="module")
def reader() -> Iterator[IsolatedReader]:
    with IsolatedReader() as found:
        yield found


@pytest.mark.subprocess
def test_pictures_sound_and_events_are_those_of_the_clip(tmp_path: Path, reader: IsolatedReader):
    found = reader.read(wanted(write(tmp_path / "clip.mkv")))
    frames = pictures(2)
    assert found.seconds == 2 and found.fps == FPS
    # Four a second, in the middle of each quarter: frames 1, 3, 5, …
    np.testing.assert_array_equal(found.frames, frames[1::2])
    times = np.arange(len(frames), dtype=np.int64) * 125_000
    expected = frames_to_bins(rgb_to_luma(frames), times, seconds=2)
    assert expected.any()
    np.testing.assert_array_equal(found.bins, expected)
    tone = np.trunc(np.sin(np.arange(2 * RATE) * 0.1) * 16000) / 32768
    np.testing.assert_allclose(found.sound, tone, atol=1e-4)


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, 1), (1.875, 1), (2.0, 2), (3.5, 3)])
def test_a_clip_has_its_whole_seconds(tmp_path: Path, seconds: float, expected: int):
    found = read_footage(wanted(write(tmp_path / "clip.mkv", seconds), frames_per_second=30))
    assert found.seconds == expected
    assert len(found.frames) == 30 * expected and len(found.sound) == RATE * expected
    last = min(round(seconds * FPS), int((30 * expected - 0.5) / 30 * FPS) + 1) - 1
    np.testing.assert_array_equal(found.frames[-1], pictures(seconds)[last])


def test_a_long_clip_ends_early_and_a_silent_one_is_silent(tmp_path: Path):
    found = read_footage(wanted(write(tmp_path / "clip.mkv", 3, sound=False), max_seconds=2))
    assert found.seconds == 2 and not found.sound.any()
    assert found.remarks == ("no sound in the file: taken as silent", "cut after 2 s")
    whole = read_footage(wanted(tmp_path / "clip.mkv"))
    np.testing.assert_array_equal(found.bins, whole.bins[:2])
    assert "no sound in the file: taken as silent" in whole.remarks


@pytest.mark.subprocess
def test_an_error_names_the_clip_as_it_was_asked_for(
    tmp_path: Path, reader: IsolatedReader, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no film")
    with pytest.raises(UserError, match=r"^text\.mp4: not a video"):
        reader.read(Wanted("text.mp4"))
    write(Path("clip.mkv"))
    assert reader.read(Wanted("clip.mkv")).seconds == 2  # and the same process goes on


@pytest.mark.subprocess
def test_a_crash_costs_one_clip(tmp_path: Path):
    """A decoder that dies of a signal, as PyAV's does on some files that are cut short."""
    clip = write(tmp_path / "clip.mkv", 1)
    with IsolatedReader() as reader:
        reader.read(wanted(clip))
        process = reader._child._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)

        def crash() -> None:
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGSEGV)
            os.kill(process.pid, signal.SIGCONT)

        threading.Thread(target=crash).start()
        with pytest.raises(
            UserError, match=r"clip\.mkv: the process that reads it crashed \(signal 11\)"
        ):
            reader.read(wanted(clip))
        assert reader.read(wanted(clip)).seconds == 1


@pytest.mark.subprocess
def test_time_and_memory_have_limits(tmp_path: Path):
    clip = write(tmp_path / "clip.mkv", 1)
    with (
        IsolatedReader(Limits(seconds=0.05)) as reader,
        pytest.raises(UserError, match=r"clip\.mkv: reading it took more than 0\.05 s"),
    ):
        reader.read(wanted(clip))
    # 4.3 GiB in one array. A limit that libraries of C reach by themselves could end the process.
    many = wanted(clip, frames_per_second=1_000_000)
    with (
        IsolatedReader(Limits(memory_bytes=1 << 31, seconds=60)) as reader,
        pytest.raises(UserError, match=r"clip\.mkv: needs more than 2 GiB of memory"),
    ):
        reader.read(many)
