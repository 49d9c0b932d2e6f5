"""Work that goes on for hours holds on to nothing: memory, handles, threads, processes.

Each test warms up, looks, works on and looks again; the sizes are small and the numbers large.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from events import Sensor
from events.folder import LOG, attempt
from events.job import Job, convert
from events.video.footage import Wanted
from events.video.isolated import IsolatedReader, Limits
from hardware import simulate
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.lava import process as lava_process
from hardware.lava.guard import SHM, session
from mdft.training.trainer import Trainer
from tests.events.films import write_film, write_video
from tests.hardware.nets import grids, random_graph, random_inputs
from tests.mdft.small import random_clips, small_config
from tests.usage import Usage, must_be_flat, usage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LINUX = pytest.mark.skipif(not SHM.is_dir(), reason="needs /proc and /dev/shm")
MB = 1 << 20


def test_five_hundred_steps_of_training(tmp_path: Path):
    """62 epochs of 8 steps, each validated and saved."""
    seen: list[Usage] = []
    steps = 0

    def report(record: dict) -> None:
        nonlocal steps
        if "step" in record:
            steps += 1
            if steps % 100 == 96:
                seen.append(usage())

    config = small_config(epochs=62, batch_size=4)
    Trainer(config, random_clips(), tmp_path, report).choose()
    assert steps == 496
    must_be_flat(seen, growth=MB)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four clips of four frames, by two codecs in three containers, and one that is none."""
    folder = tmp_path_factory.mktemp("clips")
    ramp = np.add.outer(np.arange(16), np.arange(16))
    planes = [(5 * ramp + 40 * i).astype(np.uint8) for i in range(4)]
    for name in ("0.mkv", "1.avi"):
        write_video(folder / name, planes, "yuv420p", 2, [0, 40, 80, 120])
    for name in ("2.mp4", "3.mkv"):
        write_film(folder / name, 4, 25, None, 8000)
    (folder / "4.mp4").write_bytes(b"no film")
    return sorted(folder.iterdir())


def test_four_thousand_conversions(clips: list[Path], tmp_path: Path):
    """What a worker of a folder's conversion does, every fifth time on a clip that is none."""

    def work(times: int) -> int:
        jobs = [Job(clip, tmp_path / f"{clip.stem}.npz", Sensor()) for clip in clips]
        return sum(not attempt(jobs[i % 5], convert).error for i in range(times))

    assert work(500) == 400
    looks = [usage()]
    for _ in range(4):
        assert work(1_000) == 800
        looks.append(usage())
    must_be_flat(looks, growth=2 * MB)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.npz" for i in range(4)]


def one_child(before: Usage) -> psutil.Process:
    (pid,) = usage().children - before.children
    return psutil.Process(pid)


@pytest.mark.subprocess
def test_two_hundred_clips_read_in_a_process_of_their_own(tmp_path: Path):
    """It serves them all and holds on to none; it ends with its reader.

    FFmpeg's buffers fragment the allocator's heap, by an amount that depends on the machine, so
    the process may grow; but by less than half of what the frames of all these clips occupy.
    """
    clip = write_film(tmp_path / "clip.mkv", 40, 10, None, 8000)
    before = usage()
    with IsolatedReader(Limits(seconds=3600)) as reader:
        for _ in range(50):
            footage = reader.read(Wanted(str(clip)))
        warm, server = usage(), one_child(before)
        rss = server.memory_info().rss
        for _ in range(200):
            reader.read(Wanted(str(clip)))
        assert one_child(before) == server
        leaked = 200 * footage.frames.nbytes
        assert leaked > 40 * MB
        assert server.memory_info().rss - rss < leaked / 2
        must_be_flat([warm, usage()], growth=leaked // 2)
    after = usage()
    assert after.children <= before.children and after.handles <= before.handles


@LINUX
@pytest.mark.subprocess
def test_a_folder_converted_by_processes_leaves_none(clips: list[Path], tmp_path: Path):
    """The command with two workers of joblib, 60 clips: nothing lives, no shared memory stays."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(60):
        clip = clips[i % 2]
        shutil.copy(clip, source / f"{i:03d}{clip.suffix}")
    command = [sys.executable, "-m", "events.convert", str(source), str(out), "--jobs", "2"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        assert process.wait() == 0
    until = time.monotonic() + 60  # its trackers of resources end by themselves, a moment later
    while session(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert session(process.pid) == []
    assert [path.name for path in SHM.glob(f"*{process.pid}*")] == []
    assert len(list(out.iterdir())) == 61 and (out / LOG).exists()


def driven() -> tuple:
    rng = np.random.default_rng(0)
    graph = lower(random_graph(rng, features=8, size=8, layers=2))
    return graph, random_inputs(rng, features=8, batch=1, steps=3)


@pytest.mark.lava
def test_a_hundred_runs_of_lava_in_this_process():
    network, inputs = driven()

    def work(times: int) -> None:
        for i in range(times):
            simulate(network, inputs, ("lava_float", "lava_fixed")[i % 2], grids=grids())

    work(20)
    looks = [usage()]
    for _ in range(4):
        work(25)
        looks.append(usage())
    must_be_flat(looks, growth=MB)


@LINUX
@pytest.mark.lava
@pytest.mark.subprocess
def test_runs_of_lavas_own_runtime_leave_nothing(monkeypatch: pytest.MonkeyPatch):
    network, inputs = driven()
    token = f"{os.getpid() % (1 << 24):06x}"  # so that other tests' segments are not counted
    monkeypatch.setattr(lava_process.secrets, "token_hex", lambda size: token)
    expected = reference_int(quantise(network, grids()), inputs)
    simulate(network, inputs, "lava_fixed", grids=grids())  # what is imported once
    looks = [usage()]
    for _ in range(2):
        found = simulate(network, inputs, "lava_fixed", grids=grids(), runtime="process")
        np.testing.assert_array_equal(found.spikes["lif_2"], expected.spikes["lif_2"])
        assert not list(SHM.glob(f"lv{token}_*"))
        looks.append(usage())
    must_be_flat(looks, growth=8 * MB)
