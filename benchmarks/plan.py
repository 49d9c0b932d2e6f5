"""The benchmarks that ``python -m benchmarks`` runs, one at a time, each in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal

from benchmarks.checkouts import clips_folder
from benchmarks.figures import read_figures
from mdft.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
Status = Literal["ran", "failed", "left out"]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark and how it is called.

    Attributes:
        name: its module, without ``benchmarks.``.
        quick: its arguments in a run of minutes: few rounds, at a size of its targets.
        full: its arguments otherwise.
        limit_s: seconds after which a quick run is ended; a full run has twenty times as many.
    """

    name: str
    quick: tuple[str, ...] = ("--quick",)
    full: tuple[str, ...] = ()
    limit_s: float = 240.0


_STEP = ("--batches", "64", "--rounds", "3", "--systems", "mdft")
#: In the order of the table. Quick runs measure at a size of their targets where there is one.
#: Figures are written to the file ``--figures``, those of ``gpu`` to figures.json in ``--out``.
BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("startup"),
    Benchmark("events"),
    Benchmark(
        "motion_branch",
        ("--threads", "1", "--batches", "64", "--steps", "10", "60", "--rounds", "5"),
        ("--threads", "1"),
    ),
    Benchmark("training", _STEP),
    Benchmark("profile", ("--steps", "2")),
    Benchmark("growth"),
    Benchmark("gpu", (), (), limit_s=600.0),
    Benchmark("authors"),
)
#: The benchmarks that take more than ``python -m benchmarks`` gives them, and why.
BY_HAND = {
    "authors": "needs a checkout of the authors' code and exported features, and takes hours: "
    "run python -m benchmarks.authors"
}


@dataclass(frozen=True)
class Ran:
    """The result of a benchmark.

    Attributes:
        name: its name.
        status: whether it ran.
        why: the reason if it did not; else packages or checkouts that its figures lack.
        seconds: wall time.
        figures: its figures.
        command: the arguments of ``python -m``.
    """

    name: str
    status: Status
    why: str = ""
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    command: tuple[str, ...] = ()


def cuda_device() -> str | None:
    """Return the name of torch's first CUDA device, or None; in a process of its own."""
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def left_out(benchmark: Benchmark, device: str | None) -> str | None:
    """Return why a benchmark cannot run here, or None.

    Args:
        benchmark: the benchmark.
        device: the result of :func:`cuda_device`.
    """
    if find_spec(f"benchmarks.{benchmark.name}") is None:
        return f"benchmarks.{benchmark.name} is not in this checkout"
    if benchmark.name == "gpu" and device is None:
        return "torch finds no CUDA device"
    return BY_HAND.get(benchmark.name)


def missing(benchmark: Benchmark, checkouts: Mapping[str, Path]) -> str:
    """Return what a benchmark that runs leaves out for lack of a package or a checkout."""
    peers = {
        "events": ("eventcv", "evlib"),
        "motion_branch": ("spikingjelly", "norse", "sinabs"),
    }.get(benchmark.name, ())
    absent = [f"{name} is not installed" for name in peers if find_spec(name) is None]
    if benchmark.name == "events" and not clips_folder().is_dir():
        absent.append("no folder of clips (MDFT_SHARED_DATA)")
    if benchmark.name == "training":
        systems = ("tcaf", "avmst", "avca")
        absent += [f"no checkout by --{s}" for s in systems if s not in checkouts]
    return ", ".join(absent)


def run(
    benchmark: Benchmark,
    *,
    quick: bool,
    log: Path,
    checkouts: Mapping[str, Path] | None = None,
    python: str = sys.executable,
) -> Ran:
    """Run a benchmark to its end or its time limit.

    Args:
        benchmark: the benchmark.
        quick: whether to run it with its quick arguments.
        log: file for what it prints.
        checkouts: for ``training``: tcaf, avmst, avca → folder of the authors' code.
        python: for ``training``: the interpreter of the authors' code.
    """
    arguments = benchmark.quick if quick else benchmark.full
    limit = benchmark.limit_s * (1 if quick else 20)
    if benchmark.name == "training":
        for system, folder in (checkouts or {}).items():
            arguments += (f"--{system}", str(folder.resolve()))
        arguments += ("--python", python) if checkouts else ()
    command = (f"benchmarks.{benchmark.name}", *arguments)
    with tempfile.TemporaryDirectory(prefix="mdft-benchmark-") as folder:
        file = Path(folder) / "figures.json"
        where = ("--out", folder) if benchmark.name == "gpu" else ("--figures", str(file))
        begin = time.monotonic()
        with log.open("wb") as output:
            status = _status([sys.executable, "-m", *command, *where], output, limit)
        seconds = time.monotonic() - begin
        if status is None:
            why = f"took more than {limit:g} s"
            return Ran(benchmark.name, "failed", why, seconds, command=command)
        if status:
            why = f"exit status {status}: {_last_line(log)}"
            return Ran(benchmark.name, "failed", why, seconds, command=command)
        try:
            figures = read_figures(file)
        except UserError as error:
            return Ran(benchmark.name, "failed", str(error), seconds, command=command)
    why = missing(benchmark, checkouts or {})
    return Ran(benchmark.name, "ran", why, seconds, figures, command)


def _status(command: Sequence[str], output: BinaryIO, limit_s: float) -> int | None:
    """Run a command in a session of its own; None if it took too long: its children end with it."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also after Ctrl-C
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[:200]
