"""Sweeps: interrupted and resumed, reused, one failure among others, means by hand."""

import dataclasses
import fcntl
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from mdft import seeds
from mdft.config.data import DataConfig
from mdft.config.recipes import debug
from mdft.config.train import TrainConfig
from mdft.data.sources import load_clips
from mdft.errors import UserError
from mdft.experiments import sweep
from mdft.experiments.screen import SweepScreen, Track
from mdft.experiments.spread import score_spreads, spread
from mdft.experiments.sweep import Row, is_finished, plan, report_failures
from mdft.experiments.worker import LOG, Job, start
from mdft.runs.preprocessing import preprocessing_of, write_preprocessing
from mdft.training.trainer import Trainer
from tests.mdft.runs_done import finish, results_of
from tests.mdft.small import random_clips, small_config

#: Flags that shrink the debug recipe to a second a run.
TINY = {"seconds": 1, "fps": 4, "size": 16, "bins_per_second": 2}


def tiny(cache: Path, epochs: int = 1) -> TrainConfig:
    default = debug()
    rendered = dataclasses.replace(default.data.rendered, **TINY)
    data = dataclasses.replace(default.data, rendered=rendered, cache=cache)
    return dataclasses.replace(default, data=data, epochs=epochs, device="cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    load_clips(tiny(folder).data)
    return folder


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_spread_by_hand():
    value = spread([1.0, 2.0, 4.0])
    assert value.mean == pytest.approx(7 / 3)
    assert value.std == pytest.approx(math.sqrt(42 / 18))  # ((4/3)² + (1/3)² + (5/3)²) / 2
    assert spread([0.5, 0.25]).percent() == "37.5 ± 17.7"  # 0.25 / √2
    assert spread([0.5]).percent(sign=True) == "+50.0"
    assert spread([]).percent() == "–"
    scores = score_spreads([results_of(0, 0.5, zsl=0.2), results_of(1, 0.7, zsl=0.4)])
    assert scores["hm"].mean == pytest.approx(0.6)
    assert scores["zsl"].std == pytest.approx(math.sqrt(2) / 10)


def test_a_plan_goes_seed_by_seed(tmp_path: Path):
    rows = [Row("a", debug()), Row("b", dataclasses.replace(debug(), epochs=7))]
    jobs = plan(rows, (3, 1), tmp_path)
    assert [str(job) for job in jobs] == ["a seed 3", "b seed 3", "a seed 1", "b seed 1"]
    assert jobs[3].config == dataclasses.replace(debug(), epochs=7, seed=1)
    assert jobs[3].folder == tmp_path / "b" / "seed1"


@pytest.mark.parametrize("wrong", [(), (0, 0)])
def test_seeds_that_make_no_sweep_are_refused(tmp_path: Path, wrong: tuple[int, ...]):
    with pytest.raises(UserError, match=r"seeds is .*expected at least one, without duplicates"):
        plan([Row("a", debug())], wrong, tmp_path)


def test_an_impossible_row_is_named_before_anything_runs(tmp_path: Path):
    rows = [Row("a", debug()), Row("b", dataclasses.replace(debug(), epochs=0))]
    with pytest.raises(UserError, match="b seed 0: epochs is 0"):
        plan(rows, (0,), tmp_path)


def test_finished_runs_are_reused_and_foreign_ones_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sweep, "start", lambda *_: pytest.fail("started a finished run"))
    monkeypatch.setattr(sweep, "load_clips", lambda *_: pytest.fail("drew clips for no run"))
    jobs = plan([Row("a", debug())], (0, 1), tmp_path)
    for job, hm in zip(jobs, (0.5, 0.7), strict=True):
        finish(job.folder, debug(), results_of(job.config.seed, hm))
    console = quiet()
    outcome = sweep.sweep(jobs, tmp_path, at_once=2, console=console)
    assert [r.hm for r in outcome.results["a"]] == [0.5, 0.7]
    assert outcome.failures == [] and "2 of 2 runs are already finished" in said(console)
    other = plan([Row("a", dataclasses.replace(debug(), epochs=9))], (0,), tmp_path)
    with pytest.raises(UserError, match=r"a/seed0: the run there was made with another epochs"):
        sweep.sweep(other, tmp_path, at_once=2, console=quiet())


def finished_on_clips(out: Path) -> list[Job]:
    """Two finished jobs of a source that is not drawn, on ``random_clips()``."""
    jobs = plan([Row("a", small_config())], (0, 1), out)
    for job in jobs:
        finish(job.folder, job.config, results_of(job.config.seed, 0.5))
        write_preprocessing(job.folder, preprocessing_of(job.config.data, random_clips()))
    return jobs


@pytest.mark.parametrize("which", ["finished", "interrupted", "known", "beside one to run"])
def test_runs_on_other_data_are_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
):
    first, second = finished_on_clips(tmp_path)
    if which == "interrupted":
        (first.folder / "results.json").rename(first.folder / "trainer.safetensors")
    if which == "beside one to run":
        shutil.rmtree(second.folder)
    other = dataclasses.replace(random_clips(), classes=[f"class{c}" for c in range(12)])
    monkeypatch.setattr(sweep, "load_clips", lambda data: other)
    monkeypatch.setattr(sweep, "start", lambda *_: pytest.fail("started a run"))
    how: dict[str, Any] = {"known": [first]} if which == "known" else {}
    jobs = [] if how else [first, second]
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"a/seed0: the data is no longer that of this run: 12 cl"):
        sweep.sweep(jobs, tmp_path, at_once=1, console=quiet(), **how)
    assert sorted(tmp_path.rglob("*")) == files


def test_the_data_of_finished_runs_is_loaded_once_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    jobs, loaded, console = finished_on_clips(tmp_path), [], quiet()
    monkeypatch.setattr(sweep, "load_clips", lambda data: loaded.append(data) or random_clips())
    outcome = sweep.sweep(jobs, tmp_path, at_once=1, console=console, known=jobs)
    assert len(outcome.results["a"]) == 2 and len(loaded) == 1 and "note" not in said(console)

    def gone(data: DataConfig):
        raise UserError("own: no such folder")

    monkeypatch.setattr(sweep, "load_clips", gone)
    assert len(sweep.sweep(jobs, tmp_path, at_once=1, console=console).results["a"]) == 2
    assert "not compared with the data: own: no such folder" in said(console)
    shutil.rmtree(jobs[1].folder)
    with pytest.raises(UserError, match="own: no such folder"):
        sweep.sweep(jobs, tmp_path, at_once=1, console=quiet())


def test_one_sweep_a_folder(tmp_path: Path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is writing to it"):
            sweep.sweep([], tmp_path, at_once=1, console=quiet())


@pytest.mark.slow
@pytest.mark.subprocess
def test_one_failure_does_not_stop_the_others_and_is_mended_by_a_second_call(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture
):
    jobs = plan([Row("good", tiny(cache)), Row("bad", tiny(cache))], (5,), tmp_path)
    good, bad = jobs
    (bad.folder / "metrics.jsonl" / "in the way").mkdir(parents=True)
    console = quiet()
    outcome = sweep.sweep(jobs, tmp_path, at_once=2, console=console)
    assert len(outcome.results["good"]) == 1 and outcome.results["bad"] == []
    (line,) = outcome.failures
    assert line.startswith("bad seed 5: IsADirectoryError: ") and str(bad.folder / LOG) in line
    assert "Traceback" in (bad.folder / LOG).read_text()
    assert report_failures(outcome) == 1
    assert capsys.readouterr().err == f"failed: {line}\n"
    text = sorted(said(console).splitlines())  # whichever ended first
    assert len(text) == 2 and text[0].startswith("bad seed 5: failed: IsADirectoryError")
    assert text[1].startswith("good seed 5: HM ") and "(1 of 2 runs done" in text[1]
    assert not (good.folder / "trainer.safetensors").exists()

    (bad.folder / "metrics.jsonl" / "in the way").rmdir()
    (bad.folder / "metrics.jsonl").rmdir()
    before = (good.folder / "model.safetensors").stat().st_mtime_ns
    outcome = sweep.sweep(jobs, tmp_path, at_once=2, console=quiet())  # 2: as many threads
    assert report_failures(outcome) == 0
    assert (good.folder / "model.safetensors").stat().st_mtime_ns == before
    a, b = (dataclasses.replace(outcome.results[n][0], seconds=0) for n in ("good", "bad"))
    assert a == b  # the same configuration and threads


def command(out: Path, cache: Path) -> list[str]:
    flags = [f"--data.rendered.{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    return [
        *(sys.executable, "-m", "mdft.seeds", "debug", "--seeds", "0", "1", "--jobs", "2"),
        *("--epochs", "2", "--device", "cpu", "--out", str(out), "--data.cache", str(cache)),
        *flags,
    ]


def members(group: int) -> list[str]:
    """Living processes of a process group, ten seconds later at most."""
    for _ in range(100):
        table = subprocess.run(
            ["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = (line.split(None, 2) for line in table.splitlines())
        found = [row[-1] for row in rows if row[0] == str(group) and row[1][0] != "Z"]
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.mark.slow
@pytest.mark.subprocess
def test_ctrl_c_ends_all_runs_quietly_and_the_next_call_resumes(tmp_path: Path, cache: Path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(out, cache),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(out.glob("debug/*/trainer.safetensors")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and its children
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, "", "interrupted\n")
    assert members(process.pid) == []
    assert list(out.rglob("*.tmp*")) == []
    assert not list(out.rglob("results.json"))

    config = tiny(cache, epochs=2)
    outcome = sweep.sweep(
        plan([Row("debug", config)], (0, 1), out), out, at_once=2, console=quiet()
    )
    assert [r.seed for r in outcome.results["debug"]] == [0, 1] and not outcome.failures

    whole = tmp_path / "whole"
    whole.mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        Trainer(config, load_clips(config.data), whole, lambda record: None).run()
    finally:
        torch.set_num_threads(threads)
    weights = (out / "debug" / "seed0" / "model.safetensors").read_bytes()
    assert weights == (whole / "model.safetensors").read_bytes()


def test_a_killed_run_is_reported_and_does_not_stop_the_others(
    tmp_path: Path, cache: Path, monkeypatch
):
    def start_and_kill(job: Job, threads: int):
        channel, process = start(job, threads)
        if job.row == "bad":
            os.kill(process.pid or 0, signal.SIGKILL)
        return channel, process

    monkeypatch.setattr(sweep, "start", start_and_kill)
    jobs = plan([Row("bad", tiny(cache)), Row("good", tiny(cache))], (5,), tmp_path)
    outcome = sweep.sweep(jobs, tmp_path, at_once=2, console=quiet())
    assert [run.seed for run in outcome.results["good"]] == [5]
    (line,) = outcome.failures
    assert line.startswith("bad seed 5: ended with status -9; out of memory? try fewer --jobs")


def test_the_estimate_by_hand(tmp_path: Path):
    screen = SweepScreen(quiet(), total=5, reused=1)
    assert screen.remaining(screen.began + 10) is None
    jobs = plan([Row("a", debug())], (0, 1), tmp_path)
    for job in jobs:
        screen.started(job)
    step = {"stage": "stage_1", "epochs": 4, "steps": 10}
    for job in jobs:
        screen.record(job, {**step, "epoch": 2, "step": 10})  # both resumed at 3/8 of a run
    screen.finished(jobs[0], results_of(0, 0.5))  # 5/8 of a run done here
    screen.record(jobs[1], {"val": {"hm": 0.4}})
    screen.record(jobs[1], {**step, "stage": "stage_2", "epochs": 2, "epoch": 0, "step": 5})
    track = screen.tracks["a seed 1"]
    assert (track.share, track.hm) == (0.625, 0.4)  # 1/2 + 1/8
    assert track.at == "stage 2 of 2, epoch 1 of 2"
    # 5/8 + 1/4 of a run in 70 s; 5 − 1 − 1 − 5/8 are left
    assert screen.remaining(screen.began + 70) == pytest.approx(70 / 0.875 * 2.375)
    assert "validation HM" in str(screen.table().columns[3].header)
    assert is_finished(jobs[1]) is False


def test_validation_hm_is_the_best_so_far():
    track = Track(Job("a", debug(), Path("x")), began=0.0)
    for hm in (0.2, 0.5, 0.3):
        track.follow({"stage": "stage_1", "epoch": 0, "val": {"hm": hm}})
    assert track.hm == 0.5


def test_the_seeds_command_shows_means_of_what_is_there(
    tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture
):
    for seed, hm in ((4, 0.5), (7, 0.25)):
        finish(tmp_path / "debug" / f"seed{seed}", debug(), results_of(seed, hm, seen=0.1))
    flags = ["debug", "--seeds", "4", "7", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["seeds", *flags])
    assert seeds.main() == 0
    shown = capsys.readouterr().out
    assert "37.5 ± 17.7" in shown and "10.0 ± 0.0" in shown and "4 7" in shown
    summary = json.loads((tmp_path / "debug" / "summary.json").read_text())
    assert summary["hm"] == {"mean": 0.375, "std": pytest.approx(0.25 / math.sqrt(2))}


@pytest.mark.subprocess
def test_a_dask_cluster_makes_the_runs_of_a_sweep(tmp_path: Path, cache: Path):
    distributed = pytest.importorskip("distributed")
    jobs = plan([Row("good", tiny(cache)), Row("bad", tiny(cache))], (5,), tmp_path / "far")
    (jobs[1].folder / "metrics.jsonl" / "in the way").mkdir(parents=True)
    console = quiet()
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        outcome = sweep.sweep(jobs, tmp_path / "far", at_once=1, console=console, engine=engine)
    (line,) = outcome.failures
    assert line.startswith("bad seed 5: IsADirectoryError: ") and outcome.results["bad"] == []
    assert "Traceback" in (jobs[1].folder / LOG).read_text()
    assert "good seed 5: HM " in said(console) and "bad seed 5: failed" in said(console)

    near = plan([Row("good", tiny(cache))], (5,), tmp_path / "near")
    here = sweep.sweep(near, tmp_path / "near", at_once=2, console=quiet())
    (a,), (b,) = outcome.results["good"], here.results["good"]
    assert (a.hm, a.zsl, a.epoch, a.beta) == (b.hm, b.zsl, b.epoch, b.beta)


def test_an_unknown_engine_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="--engine is 'slurm', expected one of processes, dask://"):
        sweep.sweep([], tmp_path, at_once=1, console=quiet(), engine="slurm")


@pytest.mark.subprocess
def test_workers_with_several_threads_are_refused(tmp_path: Path, cache: Path):
    distributed = pytest.importorskip("distributed")
    jobs = plan([Row("good", tiny(cache))], (5,), tmp_path)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0"
    ) as cluster:
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        with pytest.raises(UserError, match="has 2 threads, expected 1"):
            sweep.sweep(jobs, tmp_path, at_once=1, console=quiet(), engine=engine)
    assert not (jobs[0].folder).exists()
