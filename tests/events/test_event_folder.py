"""A folder of clips: in parallel, resumable, one bad clip is only one, here and on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import events.folder
from events import Sensor
from events.convert import main
from events.files.io import read_events
from events.folder import LOG, convert_folder, notes_of, plan, unfinished
from events.job import Job, convert
from tests.events.films import write_film


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips in two folders, and what is none."""
    root = tmp_path_factory.mktemp("films")
    for name in ("a.mkv", "b.mp4", "more/c.avi", "more/deep/d.MKV"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_film(root / name, 6, 10, None, 8000)
    (root / "readme.txt").write_text("no clip")
    return root


@pytest.fixture
def copy(films: Path, tmp_path: Path) -> Path:
    """A copy of the clips that a test may spoil."""
    return Path(shutil.copytree(films, tmp_path / "films"))


def outs(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())


ALL = ["a.h5", "b.h5", LOG, "more/c.h5", "more/deep/d.h5"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--engine", "threading"],
        pytest.param(["--jobs", "2"], marks=pytest.mark.subprocess),
        ["--engine", "sequential"],
    ],
)
def test_a_folder_becomes_a_folder(
    films: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(films), str(out), "--threshold", "0.3", *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "4 clips converted" in said.out and "0 failed" in said.out
    assert outs(out) == ALL
    for clip, made in (("a.mkv", "a.h5"), ("more/deep/d.MKV", "more/deep/d.h5")):
        alone = tmp_path / "alone.h5"
        convert(Job(films / clip, alone, Sensor(threshold=0.3)))
        found, metadata = read_events(out / made)
        expected, same = read_events(alone)
        assert len(found) > 100 and np.array_equal(found, expected) and metadata == same


def test_one_bad_clip_is_reported_and_skipped(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (copy / "b.mp4").write_bytes(b"not a film")
    assert main([str(copy), str(out), "--engine", "threading"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert "b.mp4: not a video" in said.err
    assert "3 clips converted" in said.out and "1 failed" in said.out
    assert outs(out) == [name for name in ALL if name != "b.h5"]
    # Mended, only that one is done.
    shutil.copy(copy / "a.mkv", copy / "b.mkv")
    (copy / "b.mp4").unlink()
    assert main([str(copy), str(out), "--engine", "threading"]) == 0
    assert "1 clips converted" in capsys.readouterr().out and outs(out) == ALL


def test_a_clip_cut_short_is_noted(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_film(copy / "a.mkv", 40, 10, None, 8000)
    os.truncate(copy / "a.mkv", (copy / "a.mkv").stat().st_size // 3)
    command = [str(copy), str(out := tmp_path / "out"), "--engine", "threading"]
    assert main(command) == 0 and f"notes on 1 of them in {LOG}" in capsys.readouterr().out
    entries = map(json.loads, (out / LOG).read_text().splitlines())
    notes = {entry["clip"]: entry["notes"] for entry in entries}
    assert "is the file incomplete?" in notes.pop("a.mkv")[0] and not any(notes.values())
    assert main(command) == 0 and "0 clips converted" in capsys.readouterr().out


def test_an_error_of_ours_ends_one_clip_and_not_the_night(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Job) -> None:
        raise ZeroDivisionError("of our own making")

    monkeypatch.setattr(events.folder, "convert", fails)
    assert main([str(films), str(tmp_path / "out"), "--engine", "threading"]) == 1
    said = capsys.readouterr().err
    assert said.count("ZeroDivisionError: of our own making") == said.count("\n") == 4


def test_what_is_done_and_unchanged_is_not_done_again(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [str(copy), str(out), "--engine", "threading"]

    def done(*more: str) -> str:
        assert main([*command, *more]) == 0
        return capsys.readouterr().out.partition(" clips")[0]

    assert done() == "4"
    before = {name: (out / name).stat().st_mtime_ns for name in ALL}
    assert done() == "0"
    assert before == {name: (out / name).stat().st_mtime_ns for name in ALL}
    assert done("--threshold", "0.4") == "4"  # other settings
    assert done("--threshold", "0.4") == "0"
    (out / "a.h5").unlink()
    assert done("--threshold", "0.4") == "1"
    os.utime(copy / "b.mp4", (1, 1))  # another clip by that name
    assert done("--threshold", "0.4") == "1"
    (out / "more" / "c.h5").write_bytes(b"cut")
    assert done("--threshold", "0.4") == "1"
    write_film(copy / "new.mkv", 3, 10, None, 8000)
    assert done("--threshold", "0.4") == "1"
    assert done("--threshold", "0.4", "--format", "npz") == "5"


def test_a_log_cut_in_a_line_is_read_as_far_as_it_goes(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([str(films), str(out), "--engine", "threading"]) == 0
    lines = (out / LOG).read_text().splitlines()
    assert len(lines) == 4 and all(json.loads(line)["out_bytes"] > 0 for line in lines)
    (out / LOG).write_text("\n".join(lines)[:-20])
    assert len(unfinished(plan(films, out, "h5", Sensor())[0], out)) == 1


def test_remarks_on_clips_outlast_the_run_that_made_them(films: Path, tmp_path: Path) -> None:
    jobs, _ = plan(films, tmp_path, "h5", Sensor())
    assert notes_of(jobs, tmp_path) == []
    convert_folder(jobs, tmp_path, "sequential", 1, lambda _: None)
    first, *others = (tmp_path / LOG).read_text().splitlines()
    noted = json.dumps(json.loads(first) | {"notes": ["its clock goes back"]})
    (tmp_path / LOG).write_text("\n".join([noted, *others]))
    assert unfinished(jobs, tmp_path) == []
    assert notes_of(jobs, tmp_path) == [["its clock goes back"]]
    (other,) = [job for job in jobs if job.out == tmp_path / json.loads(others[0])["out"]]
    assert notes_of([other], tmp_path) == []


@pytest.mark.subprocess
def test_a_run_that_is_killed_goes_on_where_it_was(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many, out = tmp_path / "many", tmp_path / "out"
    many.mkdir()
    for i in range(40):
        shutil.copy(films / "a.mkv", many / f"{i:02d}.mkv")
    write_film(many / "99.mkv", 600, 10, None, 8000)
    words = [sys.executable, "-m", "events.convert", str(many), str(out), "--engine", "sequential"]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2]) as run:
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.h5"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    kept = len((out / LOG).read_text().splitlines())
    assert 2 <= kept <= 40 and not (out / "99.h5").exists()
    assert main([str(many), str(out), "--engine", "threading"]) == 0
    assert f"{41 - kept} clips converted" in capsys.readouterr().out
    assert len(list(out.glob("*.h5"))) == 41
    for path in (out / "00.h5", out / "39.h5"):
        assert np.array_equal(read_events(path)[0], read_events(out / "01.h5")[0])


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["films", "films/out"], "lies in IN"),
        (["films", "films"], "lies in IN"),
        (["films", "a.txt"], "a.txt is a file"),
        (["empty", "out"], "empty: no clips in it"),
        (["films", "out", "--preview", "p.mp4"], "expected a single clip"),
        (["films", "out", "--engine", "slurm"], "--engine is 'slurm', expected one of loky"),
        (["films", "out", "--engine", "dask://127.0.0.1:1"], "no dask scheduler at 127.0.0.1:1"),
        (["films", "out", "--threshold", "0"], "threshold: found 0.0"),
        (["films", "out", "--noise.leak-hz", "-1"], "leak_hz: found -1.0"),
        (["films", "out", "--jobs", "0"], "--jobs: found 0"),
    ],
)
def test_mistakes_cost_one_line(
    copy: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("events.folder.PATIENCE_S", 1)
    monkeypatch.chdir(copy.parent)
    Path("empty").mkdir()
    Path("a.txt").touch()
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1
    assert not list(copy.parent.rglob("*.h5"))


def test_two_clips_that_would_share_a_name_are_refused(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(copy / "a.mkv", copy / "a.mp4")
    assert main([str(copy), str(tmp_path / "out")]) == 2
    assert "would both become a.h5; rename one" in capsys.readouterr().err


@pytest.mark.subprocess
def test_the_same_switch_reaches_a_cluster_of_two_workers(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distributed = pytest.importorskip("distributed")
    out, here = tmp_path / "out", tmp_path / "here"
    (copy / "bad.mkv").write_bytes(b"no film")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        assert main([str(copy), str(out), "--engine", f"dask://{address}"]) == 1
        said = capsys.readouterr()
        assert "bad.mkv: not a video" in said.err and "4 clips converted" in said.out
        with distributed.Client(cluster) as client:
            took_part = client.run(lambda: "events.job" in sys.modules)
        assert len(took_part) == 2 and any(took_part.values())
        assert main([str(copy), str(out), "--engine", f"dask://{address}"]) == 1
        assert "0 clips converted" in capsys.readouterr().out  # but for the bad one, all is done
    assert main([str(copy), str(here), "--engine", "threading"]) == 1
    assert outs(out) == outs(here) == ALL
    for name in ALL:
        if name.endswith(".h5"):
            assert np.array_equal(read_events(out / name)[0], read_events(here / name)[0])


@pytest.mark.subprocess
def test_a_worker_that_dies_is_one_line_and_costs_no_finished_clip(
    films: Path, tmp_path: Path
) -> None:
    class Deadly(type(films)):
        def is_dir(self, **_: object) -> bool:
            os._exit(3)  # as a decoder that crashes does

    out = tmp_path / "out"
    good, _ = plan(films, out, "h5", Sensor())
    convert_folder(good[:1], out, "threading", 1, lambda _: None)
    bad = Job(Deadly(films / "b.mp4"), out / "b.h5", Sensor())
    with pytest.raises(events.UserError, match="a worker process died"):
        convert_folder([bad, bad], out, "loky", 2, lambda _: None)
    assert unfinished(good, out) == good[1:]
