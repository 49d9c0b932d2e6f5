"""``python -m mdft.doctor``: check the installation on this machine, and suggest fixes.

Checks that need only PyTorch run here. The commands of NIR export and of the simulators, in
``export`` and ``hardware``, are called on a tiny branch in child processes, so that a crash in a
library becomes a failed check.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mdft.cli import parse, run_main

Status = Literal["PASS", "FAIL", "SKIP"]
COLOURS: dict[Status, str] = {"PASS": "green", "FAIL": "red", "SKIP": "yellow"}
#: Free bytes that the cache's folder needs: the embedded benchmark takes less than half of them.
_ROOM = 2**30
_LIMIT_S = 120.0
#: Replaces the temporary folder in the command lines that the user may repeat.
_FOLDER = Path("doctor")
_NO_LAVA = (
    "train, export and run the NumPy references here; for Lava, in a checkout of mdft: "
    "uv sync --python 3.10"
)
#: Name of a check → the arguments of hardware.run after the two files; the slowest are last.
SIMULATORS = {
    "NumPy float reference": "--backend reference_float",
    "NumPy integer reference": "--backend reference_int",
    "Lava floating point": "--backend lava_float",
    "Lava fixed point": "--backend lava_fixed",
    "Lava fixed point, its own runtime": "--backend lava_fixed --runtime process",
    "lava-dl netx": "--backend netx",
}


@dataclass(frozen=True)
class Command:
    """Check the installation; print PASS, FAIL or SKIP for each check, and how to fix failures.

    Takes about a minute of CPU time and writes only to a temporary folder. The exit status is 0,
    or 1 if a check fails. SKIP: this machine or this Python lacks an optional component.
    """

    json: bool = False
    """Print one line of JSON and nothing else."""


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: name of the check.
        status: PASS, FAIL or SKIP.
        found: the result in words.
        todo: how to fix it; empty if the status is PASS.
    """

    name: str
    status: Status
    found: str
    todo: str = ""


def check_python() -> Check:
    """Report the Python version; the package installs only on versions that it supports."""
    return Check("Python", "PASS", f"{platform.python_version()}, {platform.system()}")


def check_torch() -> Check:
    """Compute one gradient through a spiking layer on the CPU."""
    # Imported here and below: --help needs no torch, and a failed import is a failed check.
    import torch

    from mdft.model.motion import MotionBranch

    branch = MotionBranch(4, 4, 1)
    branch(torch.ones(1, 3, 4)).sum().backward()
    finite = all(p.grad is not None and p.grad.isfinite().all() for p in branch.parameters())
    found = f"torch {torch.__version__}, threads: {torch.get_num_threads()}"
    if not finite:
        return Check("PyTorch", "FAIL", f"{found}: no finite gradient", "uv sync --locked")
    return Check("PyTorch", "PASS", found)


def check_gpu() -> Check:
    """Compare a matrix product on the first CUDA device with the same product on the CPU."""
    import torch

    name = "CUDA"
    if not torch.cuda.is_available():
        return Check(name, "SKIP", "no CUDA device", "nothing: everything runs on the CPU")
    x = torch.arange(256.0).reshape(16, 16)
    same = torch.equal((x.cuda() @ x.cuda()).cpu(), x @ x)  # sums of small integers: exact
    found = torch.cuda.get_device_name()
    if not same:
        return Check(name, "FAIL", f"{found}: a wrong product", "train with --device cpu")
    return Check(name, "PASS", found)


def check_cache() -> Check:
    """Check that the cache's folder is writable and has enough free space."""
    from mdft.data.cache import cache_folder

    name, folder = "cache", cache_folder()
    todo = "set MDFT_CACHE to a writable folder with 1 GB of free space"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"mdft")
    except OSError as error:
        return Check(name, "FAIL", str(error), todo)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / 2**30:.1f} GB free"
    return Check(name, "FAIL" if free < _ROOM else "PASS", found, todo if free < _ROOM else "")


def check_video(folder: Path) -> Check:
    """Encode a video of a moving bar and convert it to events with events.convert."""
    import numpy as np

    from events.preview.film import Film

    clip = folder / "bar.mp4"
    with Film(clip, (64, 48), Fraction(10)) as film:
        for i in range(5):
            frame = np.zeros((48, 64, 3), np.uint8)
            frame[:, 10 * i : 10 * i + 8] = 255
            film.add(frame, 100_000 * i)
        film.close()
    check = call("video to events", "events.convert", str(clip), str(folder / "bar.h5"))
    if check.status == "PASS":
        return check
    # The temporary video cannot be used again.
    return replace(check, todo="repeat it: python -m events.convert CLIP.mp4 out.h5 --debug")


def call(name: str, module: str, *arguments: str) -> Check:
    """Run a command of this project in a child process."""
    words = [sys.executable, "-m", module, *arguments]
    typed = [_FOLDER / Path(a).name if Path(a).is_absolute() else a for a in arguments]
    again = f"repeat it: python -m {module} {' '.join(map(str, typed))} --debug"
    if module == "hardware.run":
        again += f", after python -m export.check {_FOLDER}"
    begin = time.monotonic()
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return Check(name, "FAIL", f"no answer in {_LIMIT_S:.0f} s", again)
    if done.returncode == 0:
        return Check(name, "PASS", f"{time.monotonic() - begin:.1f} s")
    output = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
    return Check(name, "FAIL", f"exit {done.returncode}: {output[:200]}", again)


def check_simulators(graph: Path, probe: Path) -> Iterator[Check]:
    """Run every backend of hardware.run on the tiny branch, several at a time, slowest first."""

    def check(name: str) -> Check:
        if "NumPy" not in name and find_spec("lava") is None:
            new = sys.version_info >= (3, 11)
            found = "lava-nc, archived, ends at Python 3.10" if new else "lava-nc is not installed"
            return Check(name, "SKIP", found, _NO_LAVA)
        return call(name, "hardware.run", str(graph), str(probe), *SIMULATORS[name].split())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = {name: pool.submit(check, name) for name in reversed(SIMULATORS)}
        yield from (found[name].result() for name in SIMULATORS)


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """Run a check; turn any exception into a FAIL."""
    try:
        return check()
    except Exception as error:
        return Check(name, "FAIL", f"{type(error).__name__}: {error}", "uv sync --locked")


def checks(folder: Path) -> Iterator[Check]:
    """Run all checks; later ones depend on earlier ones.

    Args:
        folder: folder for temporary files, which the caller removes.
    """
    tools = ", ".join(f"{name} {version(name)}" for name in ("nir", "nirtorch", "snntorch"))
    out = folder / "export"
    with ThreadPoolExecutor(2) as pool:  # child processes, while this process imports torch
        export = pool.submit(call, f"NIR file, read back ({tools})", "export.check", str(out))
        video = pool.submit(guarded, "video to events", lambda: check_video(folder))
        yield check_python()
        yield guarded("PyTorch", check_torch)
        yield guarded("CUDA", check_gpu)
        yield guarded("cache", check_cache)
        yield video.result()
        yield (exported := export.result())
    graph, probe = out / "motion_visual.nir", out / "probe.npz"
    if exported.status == "PASS":
        yield from check_simulators(graph, probe)
    else:
        todo = "fix the NIR export first"
        yield from (Check(name, "SKIP", "nothing to run", todo) for name in SIMULATORS)


def table(found: list[Check]) -> Table:
    """The results as a table for a terminal."""
    out = Table(show_lines=False)
    for heading in ("", "checked", "found", "what to do"):
        out.add_column(heading, overflow="fold")
    for check in found:
        status = f"[{COLOURS[check.status]}]{check.status}[/]"
        out.add_row(status, *(escape(x) for x in (check.name, check.found, check.todo)))
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 1 if a check fails, else 0."""
    config = parse(Command, "python -m mdft.doctor", arguments)
    found: list[Check] = []
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder, progress.status("checking") as status:
        for check in checks(Path(folder)):
            found.append(check)
            status.update(f"{len(found)} checks done, the last one: {check.name}")
    failed = sum(check.status == "FAIL" for check in found)
    if config.json:
        print(json.dumps({"failed": failed, "checks": [asdict(check) for check in found]}))
    else:
        Console().print(table(found))
    return int(failed > 0)


if __name__ == "__main__":
    run_main(main)
