"""``results.csv``: every finished run of a comparison, which is not run again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from mdft.errors import UserError, first_problem
from mdft.experiments.report import machine
from mdft.experiments.sweep import is_finished
from mdft.experiments.worker import Job
from mdft.files import LOCK, csv_bytes, write_atomic
from mdft.runs.folder import read_metrics, read_results
from mdft.runs.settings import fingerprint


@dataclass(frozen=True)
class FinishedRun:
    """A line of the file.

    Attributes:
        row: INPUTS-SYSTEM[-trialK]-dataD, the name of the row and of its folder.
        seed: the training seed.
        seen: S on the test clips, as a fraction.
        unseen: U.
        hm: HM.
        zsl: ZSL.
        validation_hm: the best HM on the validation classes, which chose the epoch.
        beta: β, chosen on validation data.
        epoch: epoch chosen in stage 1, counted from 0.
        seconds: wall-clock time of training.
        machine: processor and versions, of the machine that wrote the line.
        settings: :func:`mdft.runs.settings.fingerprint` of the run.
    """

    row: str
    seed: int
    seen: float
    unseen: float
    hm: float
    zsl: float
    validation_hm: float
    beta: float
    epoch: int
    seconds: float
    machine: str
    settings: str


COLUMNS = tuple(f.name for f in fields(FinishedRun))
_RUN = TypeAdapter(FinishedRun)
_ELSEWHERE = "move it away or name another --table"


class Record:
    """The finished runs of a comparison: those of a file, and those in folders of this machine.

    Args:
        path: path of the file, which need not exist.

    Raises:
        UserError: the file is no record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs = _read(path)

    def find(self, job: Job) -> FinishedRun | None:
        """The finished run of a job, of the file or else of its folder; None if there is none.

        Raises:
            UserError: the run was made with other settings.
        """
        run = self._runs.get((job.row, job.config.seed))
        if run is None:
            return finished_run(job) if is_finished(job) else None
        if run.settings != fingerprint(job.config):
            raise UserError(
                f"{self.path}: {job} is there with the settings {run.settings}, expected "
                f"{fingerprint(job.config)}; repeat the flags it was made with, name another "
                "--table, or remove its line"
            )
        return run

    def keep(self, jobs: Iterable[Job]) -> None:
        """Write the file, with the finished ones of these jobs added.

        Lines that another comparison has written in the meantime are kept.
        """
        finished = [run for job in jobs if (run := self.find(job))]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}{LOCK}")):
            self._runs = _read(self.path) | {(run.row, run.seed): run for run in finished}
            lines = [astuple(self._runs[key]) for key in sorted(self._runs)]
            write_atomic(self.path, csv_bytes([COLUMNS, *lines]))


def finished_run(job: Job) -> FinishedRun:
    """The line of a run whose folder is on this machine."""
    results = read_results(job.folder)
    return FinishedRun(
        row=job.row,
        seed=results.seed,
        seen=results.seen,
        unseen=results.unseen,
        hm=results.hm,
        zsl=results.zsl,
        validation_hm=_validation_hm(job),
        beta=results.beta,
        epoch=results.epoch,
        seconds=results.seconds,
        machine=machine(),
        settings=fingerprint(job.config),
    )


def _validation_hm(job: Job) -> float:
    return max(record["val"]["hm"] for record in read_metrics(job.folder) if "val" in record)


def _read(path: Path) -> dict[tuple[str, int], FinishedRun]:
    """(row, seed) → its line; none if there is no file."""
    if not path.exists():
        return {}
    reader = csv.DictReader(io.StringIO(path.read_text(errors="replace")))
    try:
        columns, lines = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise UserError(f"{path}: not CSV ({error}); {_ELSEWHERE}") from error
    if tuple(columns) != COLUMNS:
        raise UserError(
            f"{path}: its columns are {', '.join(columns) or 'none'}, expected "
            f"{', '.join(COLUMNS)}; {_ELSEWHERE}"
        )
    runs = []
    for number, line in enumerate(lines, start=2):
        try:
            runs.append(_RUN.validate_python(line))
        except ValidationError as error:
            where, problem = first_problem(error)
            raise UserError(
                f"{path}: line {number}, {where}: {problem}; remove the line, and the next "
                "call runs it again"
            ) from error
    return {(run.row, run.seed): run for run in runs}
