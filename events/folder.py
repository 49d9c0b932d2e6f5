"""Convert a folder of clips: in parallel, resumable; a clip that fails does not stop the rest.

OUT mirrors IN. ``convert.jsonl`` in OUT has a line for every finished clip, appended as it ends; a
clip is skipped next time if its line says that nothing has changed: size and time of the clip,
settings, size of the event file. What was odd about a clip stands there too (``notes``). joblib
does the work: with ``loky`` (processes) or ``threading`` here, with ``dask://HOST:PORT`` on a
cluster whose workers see the same folders by the same names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import joblib

from events.files.io import check_writable
from events.job import Job, Report, convert
from events.sensor import Sensor
from mdft.errors import UserError, reason, unknown

CLIPS = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"),
        *("ts", "flv", "ogv", "asf", "wmv", "gif", "apng", "y4m"),
    )
)
LOG = "convert.jsonl"
_ENGINES = ("loky", "threading", "sequential", "dask://HOST:PORT")
_ROUND = 4  # clips a worker, where an engine answers only when all it was given is done
PATIENCE_S = 10.0  # with a scheduler that does not answer


class ClipJob(Protocol):
    """Work on one clip, such as `events.job.Job`; can be pickled."""

    @property
    def source(self) -> Path:
        """The clip."""
        ...

    @property
    def out(self) -> Path:
        """The file to write."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """What else its result depends on, for JSON."""
        ...


class Remarks(Protocol):
    """What was done with a clip, such as `events.job.Report`."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was odd about it."""
        ...


J = TypeVar("J", bound=ClipJob)
R = TypeVar("R", bound=Remarks)


@dataclass(frozen=True)
class Outcome(Generic[J, R]):
    """How one clip of a folder ended.

    Attributes:
        job: what was to be done.
        report: what was done; None if it failed.
        error: one line; empty if it did not fail.
    """

    job: J
    report: R | None
    error: str = ""


def attempt(job: J, work: Callable[[J], R]) -> Outcome[J, R]:
    """Do the work on one clip and never raise: what runs in a worker."""
    try:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        return Outcome(job, work(job))
    except (UserError, OSError) as error:
        return Outcome(job, None, " ".join(str(error).split()))
    except Exception as error:  # one clip must not end the night's work
        return Outcome(job, None, f"{job.source}: {type(error).__name__}: {reason(error)}")


def plan(folder: Path, out: Path, ending: str, sensor: Sensor) -> list[Job]:
    """List the clips under a folder, sorted, and where their events go.

    Raises:
        UserError: no clips there, two that would share a name, OUT inside IN, or a format
            nobody writes.
    """
    check_writable(out.parent / f"x.{ending}")
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"OUT: {out} is a file or lies in IN, expected a folder of its own")
    clips = sorted(p for p in folder.rglob("*") if p.suffix.lower() in CLIPS and p.is_file())
    if not clips:
        raise UserError(
            f"{folder}: no clips in it, expected files such as {', '.join(sorted(CLIPS))}"
        )
    jobs: dict[Path, Job] = {}
    for clip in clips:
        target = (out / clip.relative_to(folder)).with_suffix(f".{ending}")
        if target in jobs:
            raise UserError(f"{clip} and {jobs[target].source} would both become {target.name}; "
                            "rename one")  # fmt: skip
        jobs[target] = Job(clip, target, sensor)
    return list(jobs.values())


def unfinished(jobs: list[J], out: Path, log: str = LOG) -> list[J]:
    """Leave out the jobs that the log says are done and unchanged."""
    try:
        lines = (out / log).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return jobs
    done: dict[str, Any] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            entry.pop("notes", None)
            done[entry["out"]] = entry
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the last line of a run that was killed
    return [job for job in jobs if done.get(_name(job, out)) != _entry(job, out)]


def convert_folder(
    jobs: list[Job], out: Path, engine: str, workers: int, ended: Callable[[Outcome], None]
) -> list[Outcome[Job, Report]]:
    """Convert clips: `work_folder` with `events.job.convert`."""
    return work_folder(convert, jobs, out, engine, workers, ended)


def work_folder(
    work: Callable[[J], R],
    jobs: list[J],
    out: Path,
    engine: str,
    workers: int,
    ended: Callable[[Outcome[J, R]], None],
    log: str = LOG,
) -> list[Outcome[J, R]]:
    """Do `work` on clips with joblib; `ended` is called here for each as it ends.

    `work` can be pickled; `engine` is as the module says, and `workers` −1 is one a core. `out`
    is the folder of every job's file, and of the file `log`.

    Raises:
        UserError: no workers, no such engine, no cluster there, or a worker process that died.
    """
    if workers == 0:
        raise UserError("--jobs: found 0, expected a number of clips at a time, or -1: one a core")
    outcomes = []
    with _engine(engine, workers):
        out.mkdir(parents=True, exist_ok=True)
        for outcome in _run(work, jobs):
            if outcome.report is not None:
                with open(out / log, "a", encoding="utf-8") as file:
                    line = _entry(outcome.job, out) | {"notes": outcome.report.remarks}
                    file.write(json.dumps(line) + "\n")
            outcomes.append(outcome)
            ended(outcome)
    return outcomes


def _run(do: Callable[[J], R], jobs: list[J]) -> Iterator[Outcome[J, R]]:
    work = [joblib.delayed(attempt)(job, do) for job in jobs]
    try:
        parallel = joblib.Parallel(return_as="generator_unordered")
    except ValueError:  # an engine that answers only when all is done: dask
        parallel = joblib.Parallel()
    else:
        try:
            yield from cast(Iterator[Outcome], parallel(work))
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process died: a decoder crashed or memory ran out; finished clips are "
                "kept, run again, with --engine sequential to see at which clip"
            ) from error
        return
    size = _ROUND * joblib.effective_n_jobs(-1)
    for begin in range(0, len(work), size):
        yield from cast(list[Outcome], parallel(work[begin : begin + size]))


@contextmanager
def _engine(name: str, workers: int) -> Iterator[None]:
    """Make a joblib backend the one that `joblib.Parallel` takes."""
    if name.startswith("dask://"):
        with _cluster(name.removeprefix("dask://")), joblib.parallel_config("dask"):
            yield
        return
    try:
        config = joblib.parallel_config(name, n_jobs=workers)
    except (ValueError, ImportError) as error:
        raise unknown("--engine", name, _ENGINES) from error
    with config:
        yield


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("--engine: dask:// needs the package distributed; install it") from error
    try:
        client = Client(f"tcp://{address}", timeout=PATIENCE_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"--engine: no dask scheduler at {address} ({reason(error)})") from error
    with client:
        if not client.ncores():
            raise UserError(f"--engine: the dask scheduler at {address} has no workers")
        yield


def _name(job: ClipJob, out: Path) -> str:
    return job.out.relative_to(out).as_posix()


def _entry(job: ClipJob, out: Path) -> dict[str, Any]:
    """Say what a finished job was made of and became; sizes are −1 if there is no such file."""
    clip = job.source.stat()
    size = os.path.getsize(job.out) if job.out.exists() else -1
    return {
        "out": _name(job, out),
        "out_bytes": size,
        "clip": job.source.name,
        "clip_bytes": clip.st_size,
        "clip_mtime_ns": clip.st_mtime_ns,
        **job.settings,
    }
