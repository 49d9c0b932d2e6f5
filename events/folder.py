"""Convert a folder of clips: in parallel, resumable; a clip that fails does not stop the rest.

OUT mirrors IN. A line is appended to ``convert.jsonl`` in OUT when a clip is finished; the next run
skips a clip if its line is still valid: size and modification time of the clip, settings, size of
the event file. The line also has remarks about the clip (``notes``). joblib runs the jobs: with
``loky`` (processes) or ``threading`` on this machine, with ``dask://HOST:PORT`` on a cluster whose
workers see the same folders by the same names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import joblib

from events.files.io import check_writable
from events.job import Job, Report, convert
from events.listing import CLIPS, Listing, list_files
from events.sensor import Sensor
from mdft.errors import UserError, reason, unknown

if TYPE_CHECKING:
    from distributed import Client

LOG = "convert.jsonl"
_ENGINES = ("loky", "threading", "sequential", "dask://HOST:PORT")
_ROUND = 4  # clips per worker and round, for engines that return only when all clips are done
PATIENCE_S = 10.0  # time-out for a scheduler that does not answer


class ClipJob(Protocol):
    """Work on one clip, such as `events.job.Job`; must be picklable."""

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
        """The other values that the result depends on, for JSON."""
        ...


class Remarks(Protocol):
    """The report on a clip, such as `events.job.Report`."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks about the clip."""
        ...


J = TypeVar("J", bound=ClipJob)
R = TypeVar("R", bound=Remarks)


@dataclass(frozen=True)
class Outcome(Generic[J, R]):
    """The outcome of one clip of a folder.

    Attributes:
        job: the job.
        report: the report; None if the job failed.
        error: the message in one line; empty if the job succeeded.
    """

    job: J
    report: R | None
    error: str = ""


def attempt(job: J, work: Callable[[J], R]) -> Outcome[J, R]:
    """Run the work on one clip in a worker; errors are returned, not raised."""
    try:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        return Outcome(job, work(job))
    except (UserError, OSError) as error:
        return Outcome(job, None, " ".join(str(error).split()))
    except Exception as error:  # one clip must not end the whole run
        return Outcome(job, None, f"{job.source}: {type(error).__name__}: {reason(error)}")


def plan(
    folder: Path, out: Path, ending: str, sensor: Sensor, *, strict: bool = False
) -> tuple[list[Job], Listing]:
    """List the clips under a folder, sorted, with the files for their events.

    Returns:
        The jobs, and the listing of the folder with the files that are passed over.

    Raises:
        UserError: there are no clips, two would share a name, OUT is inside IN, or there is no
            writer for the format.
    """
    check_writable(out.parent / f"x.{ending}")
    if out.is_file() or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"OUT: {out} is a file or lies in IN, expected another folder")
    listing = list_files(folder)
    if not listing.found:
        raise UserError(
            f"{folder}: no clips in it, expected files such as {', '.join(sorted(CLIPS))}"
            f"{'; ' * bool(listing.passed_over)}{listing.note()}"
        )
    jobs: dict[Path, Job] = {}
    for clip in listing.found:
        target = (out / clip.relative_to(folder)).with_suffix(f".{ending}")
        if target in jobs:
            raise UserError(f"{clip} and {jobs[target].source} would both become {target.name}; "
                            "rename one")  # fmt: skip
        jobs[target] = Job(clip, target, sensor, strict=strict)
    return list(jobs.values()), listing


def unfinished(jobs: list[J], out: Path, log: str = LOG) -> list[J]:
    """Return the jobs that are not done and unchanged according to the log."""
    done = _logged(out, log)
    same = {name: {k: v for k, v in entry.items() if k != "notes"} for name, entry in done.items()}
    return [job for job in jobs if same.get(_name(job, out)) != _entry(job, out)]


def notes_of(jobs: Sequence[ClipJob], out: Path, log: str = LOG) -> list[list[str]]:
    """Return the remarks on each finished job that has any, whichever run has finished it."""
    done = _logged(out, log)
    found = [done.get(_name(job, out), {}).get("notes") for job in jobs]
    return [list(notes) for notes in found if notes]


def _logged(out: Path, log: str) -> dict[str, dict[str, Any]]:
    """Return the last line of each file in the log; a missing log has none."""
    try:
        lines = (out / log).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            found[entry["out"]] = dict(entry)
        except (ValueError, KeyError, TypeError):
            continue  # an incomplete last line of a killed run
    return found


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
    """Run `work` on clips with joblib; `ended` is called in this process when a clip ends.

    `work` must be picklable; for `engine` see the module; `workers` −1 is one per core. `out` is
    the folder of the jobs' files and of the file `log`.

    Raises:
        UserError: `workers` is 0, the engine is unknown, there is no cluster, or a worker died.
    """
    if workers == 0:
        raise UserError(
            "--jobs: found 0, expected a number of clips at a time, or -1: one per core"
        )
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
    except ValueError:  # dask returns only when all clips are done
        parallel = joblib.Parallel()
    else:
        try:
            yield from cast(Iterator[Outcome], parallel(work))
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process died: a decoder crashed or memory ran out; finished clips are "
                "kept; run again, with --engine sequential to see which clip it is"
            ) from error
        return
    size = _ROUND * joblib.effective_n_jobs(-1)
    for begin in range(0, len(work), size):
        yield from cast(list[Outcome], parallel(work[begin : begin + size]))


@contextmanager
def _engine(name: str, workers: int) -> Iterator[None]:
    """Make a joblib backend the default of `joblib.Parallel`."""
    if name.startswith("dask://"):
        with cluster(name.removeprefix("dask://")), joblib.parallel_config("dask"):
            yield
        return
    try:
        config = joblib.parallel_config(name, n_jobs=workers)
    except (ValueError, ImportError) as error:
        raise unknown("--engine", name, _ENGINES) from error
    with config:
        yield


@contextmanager
def cluster(address: str) -> Iterator[Client]:
    """Connect to a dask cluster.

    Args:
        address: HOST:PORT of its scheduler.

    Raises:
        UserError: ``distributed`` is not installed, no scheduler answers, or it has no workers.
    """
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
        yield client


def _name(job: ClipJob, out: Path) -> str:
    return job.out.relative_to(out).as_posix()


def _entry(job: ClipJob, out: Path) -> dict[str, Any]:
    """Return the log entry of a finished job; sizes are −1 if there is no such file."""
    clip = job.source.stat() if job.source.exists() else None
    size = os.path.getsize(job.out) if job.out.exists() else -1
    return {
        "out": _name(job, out),
        "out_bytes": size,
        "clip": job.source.name,
        "clip_bytes": clip.st_size if clip else -1,
        "clip_mtime_ns": clip.st_mtime_ns if clip else -1,
        **job.settings,
    }
