"""Sweeps: train named configurations × seeds, several runs at a time, resumable.

Each run has its own process instead of a worker of joblib's pool: if the system kills one process
of that pool, for example when memory runs out, joblib 1.6 ends all of them with a
TerminatedWorkerError. Here the killed run is reported and the others continue.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGKILL
from typing import cast

import torch
from rich.console import Console

from mdft.config.data import DRAWN, DataConfig
from mdft.config.train import TrainConfig
from mdft.data.sources import load_clips
from mdft.errors import UserError, require, unknown
from mdft.experiments.cluster import run_on_cluster
from mdft.experiments.screen import SweepScreen
from mdft.experiments.spread import score_spreads
from mdft.experiments.worker import LOG, Job, start
from mdft.files import only_writer, write_atomic
from mdft.runs.folder import RESULTS, Results, contains_run, read_results
from mdft.runs.same_data import check_same_data
from mdft.training.protocol import check_fit
from mdft.training.run import check_same

SUMMARY = "summary.json"
#: Engines of a sweep: processes of this machine, or the scheme of a dask cluster's address.
PROCESSES, DASK = "processes", "dask://"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True)
class Row:
    """One configuration of a sweep.

    Attributes:
        name: name of its folder.
        config: the configuration; its seed is not used.
    """

    name: str
    config: TrainConfig


@dataclass(frozen=True)
class Outcome:
    """The results of a sweep.

    Attributes:
        results: row → its finished runs, in the order of the seeds.
        failures: one line for each run that failed.
    """

    results: dict[str, list[Results]]
    failures: list[str]


def plan(rows: Iterable[Row], seeds: Sequence[int], out: Path) -> list[Job]:
    """Every run of a sweep, all rows of a seed before the next seed.

    Args:
        rows: the configurations, with distinct names.
        seeds: the seeds, without duplicates.
        out: folder of the runs, as ``out/<row>/seed<k>``.

    Raises:
        UserError: there is no seed, a seed is given twice, or a configuration is invalid.
    """
    rows = list(rows)
    names = [row.name for row in rows]
    assert len(set(names)) == len(names) and all(_NAME.fullmatch(n) for n in names), names
    require(
        0 < len(set(seeds)) == len(seeds), "seeds", tuple(seeds), "at least one, without duplicates"
    )
    jobs = [
        Job(row.name, replace(row.config, seed=seed), out / row.name / f"seed{seed}")
        for seed in seeds
        for row in rows
    ]
    for job in jobs:
        try:
            job.config.check()
        except UserError as error:
            raise UserError(f"{job}: {error}") from error
    return jobs


def sweep(
    jobs: Sequence[Job],
    out: Path,
    *,
    at_once: int,
    console: Console,
    engine: str = PROCESSES,
    known: Iterable[Job] = (),
) -> Outcome:
    """Run all unfinished jobs; call it again after an interruption.

    Finished runs are reused and interrupted runs resumed. A run that fails is reported and the
    others continue. Call it from the main thread, since it handles Ctrl-C.

    Args:
        jobs: the result of :func:`plan`.
        out: their common folder, locked for this sweep.
        at_once: number of runs at a time on this machine, each with its share of torch's threads.
        console: console for the progress display.
        engine: ``processes`` of this machine, or ``dask://HOST:PORT`` for a dask cluster, which
            decides itself how many runs it makes at a time.
        known: other jobs, whose results are reported with those of this sweep.

    Raises:
        UserError: a run's folder contains a run of another configuration or, also a folder of
            ``known``, on other data than there is now; another process writes to ``out``, the clips
            cannot be loaded, or there is no such engine.
    """
    require(at_once >= 1, "jobs", at_once, "at least 1")
    cluster = engine.startswith(DASK)
    if not cluster and engine != PROCESSES:
        raise unknown("--engine", engine, (PROCESSES, f"{DASK}HOST:PORT"))
    _prepare_clips(jobs, known, console)
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out):
        waiting = [job for job in jobs if not is_finished(job)]
        with SweepScreen(console, total=len(jobs), reused=len(jobs) - len(waiting)) as screen:
            if cluster:
                failures = run_on_cluster(waiting, engine.removeprefix(DASK), screen)
            else:
                failures = _run(waiting, at_once, screen)
    return Outcome(finished_results(jobs), failures)


def is_finished(job: Job) -> bool:
    """Whether the folder of a job contains its finished run.

    Raises:
        UserError: the folder contains a run of another configuration.
    """
    if _has_begun(job):
        check_same(job.folder, job.config)
    return (job.folder / RESULTS).exists()


def _has_begun(job: Job) -> bool:
    return contains_run(job.folder) or (job.folder / RESULTS).exists()


def finished_results(jobs: Iterable[Job]) -> dict[str, list[Results]]:
    """Row → results of its finished runs, an empty list if there are none.

    Raises:
        UserError: a folder contains a run of another configuration.
    """
    results: dict[str, list[Results]] = {}
    for job in jobs:
        found = results.setdefault(job.row, [])
        if is_finished(job):
            found.append(read_results(job.folder))
    return results


def write_summary(folder: Path, results: Sequence[Results]) -> None:
    """Write ``summary.json``: seeds, and mean and deviation of each score, as fractions.

    The deviation is null with a single seed.
    """
    content: dict[str, object] = {"seeds": [r.seed for r in results]}
    for name, value in score_spreads(results).items():
        content[name] = {"mean": value.mean, "std": value.std if value.n > 1 else None}
    write_atomic(folder / SUMMARY, (json.dumps(content, indent=2) + "\n").encode())


def _prepare_clips(jobs: Iterable[Job], known: Iterable[Job], console: Console) -> None:
    """Fill the cache before the processes start, and check the data sets, each loaded once."""
    jobs = list(jobs)
    waiting = [job for job in jobs if not is_finished(job)]
    begun = [j for j in (*jobs, *known) if j.config.data.source not in DRAWN and _has_begun(j)]
    met: list[DataConfig] = []
    for job in (*waiting, *begun):  # in this order: what waits cannot do without its data
        data = job.config.data
        if data in met:
            continue
        met.append(data)
        try:
            clips = load_clips(data)
        except (UserError, OSError) as error:
            if job in waiting:
                raise
            text = f"note: finished runs are not compared with the data: {error}"
            console.print(text, soft_wrap=True, highlight=False, markup=False)
            continue
        for other in (j for j in begun if j.config.data == data):
            check_same_data(other.folder, data, clips)
        if job in waiting:
            check_fit(job.config, clips)


def _run(jobs: Iterable[Job], at_once: int, screen: SweepScreen) -> list[str]:
    """Run jobs, ``at_once`` at a time; return one line for each that failed."""
    waiting, failures = deque(jobs), []
    running: dict[Connection, tuple[Job, BaseProcess]] = {}
    errors: dict[Connection, str] = {}
    threads = max(1, torch.get_num_threads() // at_once)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                channel, process = start(job, threads)
                running[channel] = job, process
                screen.started(job)
            for channel in cast(list[Connection], wait(list(running), timeout=0.5)):
                job, process = running[channel]
                try:
                    record = channel.recv()
                except EOFError:
                    _end(job, process, errors.get(channel), screen, failures)
                    del running[channel]
                    continue
                if "error" in record:
                    errors[channel] = record["error"]
                else:
                    screen.record(job, record)
            screen.show()
    finally:
        _stop([process for _, process in running.values()])
    return failures


def _end(
    job: Job, process: BaseProcess, error: str | None, screen: SweepScreen, failures: list[str]
) -> None:
    """Report the end of a run whose pipe is closed."""
    process.join()
    if process.exitcode == 0:
        screen.finished(job, read_results(job.folder))
        return
    if error is None:  # killed from outside: a negative status is a signal's number
        hint = "; out of memory? try fewer --jobs" if process.exitcode == -SIGKILL else ""
        error = f"ended with status {process.exitcode}{hint}"
    failures.append(f"{job}: {error} (full log: {job.folder / LOG})")
    screen.failed(job, error)


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(timeout=30)
        process.kill()
        process.join()


def report_failures(outcome: Outcome) -> int:
    """Print the runs that failed to stderr; return the exit status, 1 if there are any."""
    for line in outcome.failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if outcome.failures else 0
