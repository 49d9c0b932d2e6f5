"""Run the goldens in a reader: a process of its own, restarted where it crashes or hangs."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

from hardware.conformance.diagnose import diagnose, first_difference, silent
from hardware.conformance.goldens import Golden
from hardware.conformance.readers import Reader

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = "3.11"  # of the environments that uv makes
INSTALL_S = 900


class EndedError(Exception):
    """The process of the reader ended; the message is the last line that it wrote."""


class HangsError(Exception):
    """The reader gave no answer within its time."""


@dataclass(frozen=True)
class Row:
    """What a reader made of a golden.

    Attributes:
        status: equal, deviates, refused, crashed, hangs, or absent (it could not be started).
        first: the first step that differs, if it deviates.
        cause: the causes of the deviation; empty if unknown.
        message: what it said, if it did not run.
    """

    status: str
    first: int | None = None
    cause: tuple[str, ...] = ()
    message: str = ""


def command(reader: Reader, folder: Path) -> list[str]:
    """The command line that starts a reader; `folder` holds its adapter.

    Raises:
        EndedError: uv is not installed.
    """
    words = [str(HERE / "child.py"), str(folder / f"{reader.adapter}.py"), reader.option]
    if not reader.packages:
        return [sys.executable, *words]
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    if uv is None:
        raise EndedError("uv is not installed (make setup puts it into .tools/bin)")
    extra = [word for package in reader.packages for word in ("--with", package)]
    options = ["--quiet", "--isolated", "--no-project", "--python", PYTHON]
    return [uv, "run", *options, *extra, "python", *words]


class Process:
    """A reader that is running."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        words = command(reader, folder)
        environment = dict(os.environ)
        if reader.packages:
            environment.pop("PYTHONPATH", None)
        else:
            environment["PYTHONPATH"] = str(ROOT)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            start_new_session=True,
        )
        self.versions: dict[str, str] = {}

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next line that the child writes.

        Raises:
            HangsError: there was none in time.
            EndedError: the child has ended.
        """
        assert self.process.stdout is not None
        end, line = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise HangsError
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    raise EndedError(self._last_words())
                line += part
        return json.loads(line)

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a job and return its answer; raises what `answer` does."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EndedError(self._last_words()) from None
        return self.answer(seconds)

    def _last_words(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        ended = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"{ended}: {lines[-1].strip()}"[:300] if lines and code >= 0 else ended

    def close(self) -> None:
        """End the child and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def run_reader(
    reader: Reader,
    goldens: dict[str, Golden],
    seconds: float,
    folder: Path = HERE / "readers",
    install_seconds: float = INSTALL_S,
) -> tuple[dict[str, Row], dict[str, str]]:
    """Run every golden in a reader.

    Args:
        reader: the reader.
        goldens: the rows, by name.
        seconds: the limit of time for a graph.
        folder: the folder of its adapter.
        install_seconds: the limit for making its environment and starting it.

    Returns:
        A row for each golden, and the versions of Python and of the reader's packages.
    """
    rows: dict[str, Row] = {}
    versions: dict[str, str] = {}
    process: Process | None = None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for name, golden in goldens.items():
                if process is None:
                    try:
                        process = Process(reader, folder)
                        versions = process.answer(install_seconds)["ready"]
                    except (EndedError, HangsError) as error:
                        text = str(error) or f"it did not start within {install_seconds:g} s"
                        rows |= {n: Row("absent", message=text) for n in goldens if n not in rows}
                        return rows, versions
                try:
                    rows[name] = _row(process, golden, Path(scratch), seconds, reader.fixed)
                    continue
                except EndedError as error:
                    rows[name] = Row("crashed", message=str(error))
                except HangsError:
                    rows[name] = Row("hangs", message=f"no answer within {seconds:g} s")
                process.close()
                process = None
    finally:
        if process is not None:
            process.close()
    return rows, versions


def _row(process: Process, golden: Golden, scratch: Path, seconds: float, fixed: bool) -> Row:
    graph, inputs, out = (scratch / name for name in ("g.nir", "inputs.npz", "out.npz"))
    nir.write(graph, golden.graph)
    arrays: dict[str, Any] = {k: x.astype(np.float32) for k, x in golden.inputs.items()}
    np.savez(inputs, **arrays)
    job = {"graph": str(graph), "inputs": str(inputs), "dt": golden.dt, "out": str(out)}
    answer = process.ask(job, seconds)
    if "error" in answer:
        return Row("refused", message=answer["error"].replace(f"{scratch}/", ""))
    with np.load(out) as file:
        found = dict(file)
    return judge(golden, found, fixed)


def judge(golden: Golden, found: dict[str, np.ndarray], fixed: bool = False) -> Row:
    """Compare a reader's outputs with the golden; name the cause if they differ."""
    try:
        first = first_difference(golden.outputs(), found)
    except ValueError as error:
        return Row("deviates", 0, (), str(error))
    if first is None:
        return Row("equal")
    if fixed:  # its rounding can equal a variation by chance
        return Row("deviates", first, (), "it rounds to integers")
    cause = ("sends nothing",) if silent(found) else diagnose(golden, found)
    return Row("deviates", first, cause)


def as_json(row: Row) -> dict[str, Any]:
    """The fields that are not empty."""
    return {k: v for k, v in asdict(row).items() if v not in (None, (), "")}
