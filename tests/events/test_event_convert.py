"""Files and the command line, from clip to Tonic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from tonic.transforms import ToFrame

import events
from events.convert import main
from events.generator import EVENTS
from events.io import EventWriter, Metadata, read_events, write_events
from events.preview import RateStrip, event_image
from events.reference import frames_to_events_reference
from events.video import Clip

METADATA = Metadata((40, 30, 2), 0.2, 0, "full", "clip.mp4", 25.0, 100, 4_000_000)


def some_events(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    found = np.empty(n, dtype=EVENTS)
    found["x"], found["y"] = rng.integers(0, 40, n), rng.integers(0, 30, n)
    found["t"], found["p"] = np.sort(rng.integers(0, 4_000_000, n)), rng.random(n) < 0.5
    return found


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


@pytest.mark.parametrize("n", [0, 1, 5, 65_536, 200_000])
def test_a_file_read_back_is_what_was_written(tmp_path: Path, n: int) -> None:
    found = some_events(n)
    write_events(tmp_path / "a.h5", found, METADATA)
    again, metadata = read_events(tmp_path / "a.h5")
    assert np.array_equal(again, found) and again.dtype == EVENTS and metadata == METADATA
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["events"]
        assert isinstance(dataset, h5py.Dataset) and dataset.dtype == EVENTS


def test_appending_in_pieces_is_the_same_file(tmp_path: Path) -> None:
    found = some_events(150_000)
    with EventWriter(tmp_path / "a.h5") as writer:
        for piece in np.array_split(found, [0, 7, 70_000, 70_001, 149_999]):
            writer.append(piece)
        writer.close(METADATA)
    assert np.array_equal(read_events(tmp_path / "a.h5")[0], found)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_events(tmp_path / "a.h5", some_events(5), METADATA)
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(ZeroDivisionError), EventWriter(tmp_path / "a.h5") as writer:
        writer.append(some_events(100_000))
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == before


def test_broken_event_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(events.UserError, match="no such file"):
        read_events(path)
    path.write_bytes(b"no HDF5 " * 100)
    with pytest.raises(events.UserError, match=r"a\.h5: not a readable HDF5 file"):
        read_events(path)
    cases = {
        "format mdft-events version 9, expected": lambda f: f.attrs.__setitem__(
            "format_version", 9
        ),
        "no attribute threshold": lambda f: f.attrs.__delitem__("threshold"),
        "sensor_size": lambda f: f.attrs.__setitem__("sensor_size", (40, 30)),
        "wrong type": lambda f: f.attrs.__setitem__("frames", "many"),
        "x runs from": lambda f: f.attrs.__setitem__("sensor_size", (4, 30, 2)),
        "no dataset": lambda f: f.__delitem__("events"),
        "sorted by t": lambda f: f["events"].__setitem__(0, (0, 0, 10**9, True)),
    }
    for says, damage in cases.items():
        write_events(path, some_events(50), METADATA)
        with h5py.File(path, "a") as file:
            damage(file)
        with pytest.raises(events.UserError, match=says) as caught:
            read_events(path)
        assert "a.h5" in str(caught.value) and "\n" not in str(caught.value)


def test_an_external_link_is_not_followed(tmp_path: Path) -> None:
    write_events(tmp_path / "a.h5", some_events(50), METADATA)
    write_events(tmp_path / "b.h5", some_events(60), METADATA)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["events"]
        file["events"] = h5py.ExternalLink("b.h5", "/events")
    with pytest.raises(events.UserError, match="stored in the file itself"):
        read_events(tmp_path / "a.h5")


def test_convert_and_preview(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, preview = film.with_name("out.h5"), film.with_name("preview.mp4")
    assert main([str(film), str(out), "--preview", str(preview), "--threshold", "0.3"]) == 0
    said = capsys.readouterr()
    assert "64 x 48" in said.out and said.err == ""
    found, metadata = read_events(out)
    with Clip(film) as clip:
        frames = list(clip)
    lumas, times = np.stack([f.luma for f in frames]), np.array([f.time_us for f in frames])
    expected = frames_to_events_reference(lumas, times, threshold=0.3)
    assert len(found) > 1000 and np.array_equal(found, expected)
    assert metadata == Metadata((64, 48, 2), 0.3, 0, "full", "film.mp4", 12.0, 24, int(times[-1]))
    with av.open(str(preview)) as container:
        pictures = list(container.decode(video=0))
    assert [round(p.time * 1e6, -2) for p in pictures] == [round(int(t), -2) for t in times]
    names = sorted(path.name for path in film.parent.iterdir())
    assert names == ["film.mp4", "out.h5", "preview.mp4"]


def test_event_image_by_hand() -> None:
    rows = [(0, 0, 0, True), (2, 1, 0, False), (2, 1, 1, False), (2, 1, 2, False)]
    image = event_image(np.array(rows, dtype=EVENTS), 3, 2).astype(int)
    assert image.shape == (2, 3, 3)
    assert (image[0, 1:] == 255).all() and (image[1, :2] == 255).all()
    red, blue = image[0, 0], image[1, 2]
    assert red[0] > red[1] + 50 and red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50 and blue.tolist() == [25, 85, 190]


def test_rate_strip_by_hand() -> None:
    strip = RateStrip(100, 1_000_000)
    strip.add(0, 40_000, some_events(8))
    on = int(some_events(8)["p"].sum())
    assert np.allclose(strip.rates[:, :4], np.array([[8 - on], [on]]) / 0.04)
    assert not strip.rates[:, 4:].any() and strip.now == 3
    strip.add(990_000, 1_010_000, some_events(8))  # runs over the declared end: sweeps round
    assert strip.now == 0


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["none.mp4", "out.h5"], "none.mp4: cannot be opened"),
        (["film.mp4", "no/folder/out.h5"], "no folder"),
        (["film.mp4", "film.mp4"], "is also CLIP"),
        (["film.mp4", "out.h5", "--preview", "out.h5"], "is also OUT"),
        (["film.mp4", "out.h5", "--preview", "no/p.mp4"], "no folder"),
        (["film.mp4", "out.h5", "--threshold", "0"], "threshold: found 0.0"),
        (["film.mp4", "."], "is a folder"),
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


def test_a_damaged_clip_leaves_nothing(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(film.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 40_000] = b"\xff" * len(data[begin : begin + 40_000])
    film.write_bytes(data)
    arguments = [str(film), str(film.with_name("o.h5")), "--preview", str(film.with_name("p.mp4"))]
    assert main(arguments) == 2
    assert "film.mp4: " in capsys.readouterr().err
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


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
    lumas, times = np.stack([f.luma for f in frames]), np.array([f.time_us for f in frames])
    assert np.array_equal(found, events.frames_to_events(lumas, times))
    few = frames_to_events_reference(lumas[:5], times[:5])
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
