"""Files and the command line, from clip to Tonic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from tonic.transforms import ToFrame

import events
from events.convert import main
from events.files import spool
from events.files.io import read_events
from events.files.metadata import Metadata
from events.reference import frames_to_events_reference
from events.video.clip import Clip


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A small clip: a bright square walks over a grey ground, 24 frames at 12 a second."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(24):
            rgb = np.full((48, 64, 3), 60, np.uint8)
            rgb[16:32, 2 * i : 2 * i + 12] = (230, 200, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_convert_and_preview(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, preview = film.with_name("out.h5"), film.with_name("preview.mp4")
    assert main([str(film), str(out), "--preview", str(preview), "--threshold", "0.3"]) == 0
    said = capsys.readouterr()
    assert "64 x 48" in said.out and said.err == ""
    found, metadata = read_events(out)
    with Clip(film) as clip:
        frames = list(clip)
    planes, times = np.stack([f.plane for f in frames]), np.array([f.time_us for f in frames])
    expected = frames_to_events_reference(planes, times, threshold=0.3, luma="limited")
    assert len(found) > 1000 and np.array_equal(found, expected)
    sensor = events.Sensor(threshold=0.3, luma="limited")
    last = int(times[-1])
    assert metadata == Metadata((64, 48, 2), "film.mp4", sensor, 12.0, 24, duration_us=last)
    with av.open(str(preview)) as container:
        pictures = list(container.decode(video=0))
    assert [round(p.time * 1e6, -2) for p in pictures] == [round(int(t), -2) for t in times]
    names = sorted(path.name for path in film.parent.iterdir())
    assert names == ["film.mp4", "out.h5", "preview.mp4"]


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["none.mp4", "out.h5"], "none.mp4: cannot be opened"),
        (["film.mp4", "no/folder/out.h5"], "no folder"),
        (["film.mp4", "film.mp4"], "is also IN"),
        (["film.mp4", "out.h5", "--preview", "out.h5"], "is also OUT"),
        (["film.mp4", "out.h5", "--preview", "no/p.mp4"], "no folder"),
        (["film.mp4", "out.h5", "--threshold", "0"], "threshold: found 0.0"),
        (["film.mp4", "."], "is a folder"),
        (
            ["film.mp4", "out.mat"],
            "out.mat: no writer for '.mat', expected one of .h5, .hdf5, .npz",
        ),
        (["film.mp4", "out.h5", "--preview", "p.webm"], "p.webm: a preview is a video"),
        (["film.mp4", "out.h5", "--luma", "linear"], "luma is 'linear'"),
        (["film.mp4", "out.h5", "--sensor-size", "64", "48"], "film.mp4 is a video, which has a"),
        ([".", "out", "--sensor-size", "64", "48"], "--sensor-size: found a folder"),
    ],
)
def test_mistakes_cost_one_line_and_leave_nothing(
    film: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(film.parent)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_names_with_brackets_are_shown(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = film.rename(film.with_name("a [b].mp4"))
    out, preview = film.with_name("c [d].h5"), film.with_name("e [f].mp4")
    assert main([str(named), str(out), "--preview", str(preview)]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert all(text in said for text in ("a[b].mp4:24frames", "c[d].h5", "e[f].mp4"))


def test_the_sensor_size_of_a_recording_is_given_or_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "a.h5"
    source.write_text("t_us,x,y,p\n0,3,4,1\n5,9,2,0\n")
    assert main([str(source), str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "sensor size not in the file: 10x5, the smallest that holds the events" in said
    assert read_events(out)[1].sensor_size == (10, 5, 2)
    assert main([str(source), str(out), "--sensor-size", "12", "8"]) == 0
    assert "smallest" not in capsys.readouterr().out
    assert read_events(out)[1].sensor_size == (12, 8, 2)
    again = [str(out), str(tmp_path / "b.npz")]
    assert main([*again, "--sensor-size", "10", "8"]) == 2
    assert "a.h5 declares 12x8, found 10x8; leave it out" in capsys.readouterr().err
    assert main([*again, "--sensor-size", "12", "8"]) == 0


def test_a_format_that_cannot_hold_the_clip_leaves_nothing(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(film), str(film.with_name("o.raw")), "--preview", str(film.with_name("p.mp4"))]
    with monkeypatch.context() as limits:
        limits.setitem(spool._LARGEST_SIDE, "evt", 63)
        limits.setattr(Clip, "__iter__", lambda _: 1 / 0)  # refused before a frame is converted
        assert main(arguments) == 2
    assert "64x48 pixels, expected sides of at most 63" in capsys.readouterr().err
    with monkeypatch.context() as limits:
        limits.setattr(spool, "_LAST_US", 1_000_000)
        assert main(arguments) == 2
    assert "at most 1000000" in capsys.readouterr().err
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_a_damaged_clip_leaves_nothing(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(film.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 40_000] = b"\xff" * len(data[begin : begin + 40_000])
    film.write_bytes(data)
    arguments = [str(film), str(film.with_name("o.h5")), "--preview", str(film.with_name("p.mp4"))]
    assert main(arguments) == 2
    assert "film.mp4: " in capsys.readouterr().err
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


@pytest.mark.subprocess
def test_the_command_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "events.convert", str(tmp_path / "no.mp4"), "x.h5"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("error: ") and run.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["mmaction2_test.avi", "nasa_13013.mp4", "mmaction2_part_0.mp4"])
def test_real_clips_to_file_to_tonic(
    shared_data: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.h5"
    assert main([str(shared_data / "clips" / name), str(out)]) == 0
    capsys.readouterr()
    found, metadata = read_events(out)
    with Clip(shared_data / "clips" / name) as clip:
        frames = list(clip)
    planes, times = np.stack([f.plane for f in frames]), np.array([f.time_us for f in frames])
    assert metadata.sensor == events.Sensor(luma="limited")
    assert np.array_equal(found, events.frames_to_events(planes, times, luma="limited"))
    few = frames_to_events_reference(planes[:5], times[:5], luma="limited")
    assert len(few) > 50 and np.array_equal(found[: len(few)], few)
    width, height, _ = metadata.sensor_size
    to_frame = ToFrame(metadata.sensor_size, time_window=125_000, start_time=0, end_time=1_000_000)
    binned = to_frame(found[found["t"] < 1_000_000]).astype(np.int64)
    ours = events.pool(found, metadata.sensor_size, seconds=1)
    cells = np.zeros((8, 2, 16, 16), dtype=np.int64)
    area = np.zeros((16, 16), dtype=np.int64)
    for y in range(height):
        for x in range(width):
            cells[:, :, y * 16 // height, x * 16 // width] += binned[:, :, y, x]
            area[y * 16 // height, x * 16 // width] += 1
    expected = np.floor(16 * cells / area + 0.5).clip(0, 255)
    assert np.array_equal(ours[0], expected.reshape(8, 512))


def test_a_repeated_frame_is_silent_and_sticks_no_pixel(shared_data: Path) -> None:
    with Clip(shared_data / "clips" / "nasa_13013.mp4") as clip:
        lumas = np.stack([frame.luma for frame in clip])[:60]
    shown = np.repeat(np.arange(60), np.where(np.arange(60) % 3 == 0, 2, 1))
    times = np.arange(len(shown)) * 40_000
    twice = events.frames_to_events(lumas[shown], times)
    once = events.frames_to_events(lumas, np.arange(60) * 40_000)
    # Undo the repeats: each interval between different frames keeps its events, shifted.
    again = np.flatnonzero(np.diff(shown) == 0)
    for i in again:
        assert not ((twice["t"] > times[i]) & (twice["t"] < times[i + 1])).any()
    repeats_before = np.searchsorted(times[again], twice["t"], side="left")
    twice["t"] -= 40_000 * repeats_before
    assert len(once) > 10_000 and np.array_equal(twice, once)
