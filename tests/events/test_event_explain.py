"""The picture of one pixel: what is drawn is what the equations say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from events import Sensor, frames_to_events
from events.explain import Explain, draw, main, memory, trace
from events.response import log_table
from events.video.clip import Clip

# One pixel's bytes at 10 frames a second: L rises by ln 2 from 0.1 to 0.2 s and falls back.
LEVELS = (100, 100, 200, 200, 100, 100)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Left half changes, right half does not; grey, lossless."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 8, 6, "gray"
        for level in LEVELS:
            plane = np.full((6, 8), 100, np.uint8)
            plane[:, :4] = level
            container.mux(stream.encode(VideoFrame.from_ndarray(plane, format="gray")))
        container.mux(stream.encode(None))
    return path


def test_trace_by_hand(clip: Path) -> None:
    traced = trace(Explain(clip, (1, 2)))
    assert traced.times_us.tolist() == [100_000 * i for i in range(6)]
    assert np.allclose(traced.log, np.log(LEVELS))
    # ln 2 = 3.466 steps of 0.2: up at 0.2, 0.4, 0.6 above ln 100. The memory, 0.6 above, falls
    # where L is 0.4, 0.2 and 0 above it: the last exactly at the frame of 0.4 s.
    share = 0.2 * np.arange(1, 4) / np.log(2)
    up = 100_000 + 100_000 * share
    down = 300_000 + 100_000 * (1 - np.array([0.4, 0.2, 0.0]) / np.log(2))
    expected = np.floor(np.concatenate([up, down]) + 0.5)
    assert traced.events["t"].tolist() == expected.tolist()
    assert traced.events["p"].tolist() == [True] * 3 + [False] * 3
    times, level = memory(traced, Sensor())
    assert np.allclose(times[1:] * 1e6, expected)
    assert np.allclose(level - np.log(100), [0, 0.2, 0.4, 0.6, 0.4, 0.2, 0])
    assert len(trace(Explain(clip, (6, 2))).events) == 0


def test_the_refractory_period_swallows_events_and_not_the_memory(clip: Path) -> None:
    config = Explain(clip, (1, 2), sensor=Sensor(refractory_us=50_000))
    traced = trace(config)
    assert len(traced.events) == 4 and len(traced.moves) == 6
    assert np.isclose(memory(traced, config.sensor)[1][3] - np.log(100), 0.6)


def test_two_thresholds(clip: Path) -> None:
    # ln 2 above: two steps of 0.3 up; from 0.6 above, one step of 0.5 down.
    sensor = Sensor(threshold=0.3, threshold_off=0.5)
    traced = trace(Explain(clip, (1, 2), sensor=sensor))
    assert traced.events["p"].tolist() == [True, True, False]
    assert np.allclose(memory(traced, sensor)[1] - np.log(100), [0, 0.3, 0.6, 0.1])


def test_a_real_pixel_has_the_events_of_the_whole_clip(shared_data: Path) -> None:
    path = shared_data / "clips" / "realshort.mp4"
    with Clip(path) as clip:
        frames = list(clip)
    planes, times = np.stack([f.plane for f in frames]), np.array([f.time_us for f in frames])
    found = frames_to_events(planes, times, luma="limited")
    for x, y in ((150, 100), (119, 26), (0, 239)):
        here = found[(found["x"] == x) & (found["y"] == y)]
        traced = trace(Explain(path, (x, y)))
        assert traced.events["t"].tolist() == here["t"].tolist()
        assert traced.events["p"].tolist() == here["p"].tolist()
        assert np.array_equal(traced.log, log_table("limited")[planes[:, y, x]])


def test_the_figure_draws_what_was_traced(clip: Path) -> None:
    config = Explain(clip, (1, 2), begin=0.1, seconds=0.25)
    traced = trace(config)
    assert traced.times_us[-1] == 400_000  # decoded from the start, and no further than drawn
    figure = draw(traced, config)
    _, axes = figure.axes
    lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    assert np.allclose(lines["log intensity, frames"][:, 1], np.log(LEVELS[:5]))
    on, off = lines["ON event"], lines["OFF event"]
    assert np.allclose(on[:, 0] * 1e6, traced.events["t"][:3])
    assert np.allclose(on[:, 1] - np.log(100), [0.2, 0.4, 0.6], atol=1e-4)
    assert np.allclose(off[:, 1] - np.log(100), [0.4, 0.2, 0.0], atol=1e-4)
    assert axes.get_xlim() == (0.1, 0.35)
    assert "4 events (3 ON) drawn" in axes.get_title()


def test_a_window_between_two_frames_is_drawn(shared_data: Path) -> None:
    config = Explain(shared_data / "clips" / "realshort.mp4", (150, 100), begin=0.01, seconds=0.01)
    axes = draw(trace(config), config).axes[1]
    assert axes.get_xlim() == (0.01, 0.02)
    assert "luma limited: " in axes.get_title()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_command_writes_the_picture(
    clip: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = clip.with_name(f"p.{ending}")
    assert main([str(clip), "--pixel", "1", "2", "--out", str(out), "--threshold", "0.3"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "6 frames, 4 events" in said.out
    assert sorted(os.listdir(clip.parent)) == ["a.mkv", out.name]
    if ending == "png":
        with Image.open(out) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        red = (pixels[..., 0] > 150) & (pixels[..., 1:].max(axis=-1) < 80)
        blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 60)
        assert red.sum() > 100 and blue.sum() > 100


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["no.mkv", "--pixel", "1", "2"], "no.mkv: cannot be opened"),
        (["a.mkv", "--pixel", "8", "2"], "--pixel 8 2: not in the frame, expected 0 to 7"),
        (["a.mkv", "--pixel", "-1", "2"], "--pixel -1 2: not in the frame"),
        (["a.mkv", "--pixel", "1", "2", "--begin", "9"], "--begin 9.0: the clip ends at 0.50 s"),
        (["a.mkv", "--pixel", "1", "2", "--seconds", "0"], "a length above 0"),
        (["a.mkv", "--pixel", "1", "2", "--begin", "nan"], "expected a start of at least 0"),
        (["a.mkv", "--pixel", "1", "2", "--out", "p.txt"], "p.txt: found '.txt', expected one of"),
        (["a.mkv", "--pixel", "1", "2", "--out", "no/p.png"], "no folder no"),
        (["a.mkv", "--pixel", "1", "2", "--threshold", "0"], "threshold: found 0.0"),
        (["a.mkv", "--pixel", "1", "2", "--noise.leak-hz", "1"], "the ideal pixel"),
    ],
)
def test_mistakes_cost_one_line_and_leave_nothing(
    clip: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(clip.parent)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1
    assert os.listdir(clip.parent) == ["a.mkv"]


@pytest.mark.subprocess
def test_the_command_itself(clip: Path) -> None:
    command = [sys.executable, "-m", "events.explain", str(clip), "--pixel", "1", "2"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(command, capture_output=True, text=True, cwd=clip.parent, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("a_1_2.png: ") and (clip.parent / "a_1_2.png").exists()
