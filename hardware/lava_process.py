"""The real Lava runtime, fenced in: a child with its own session, a time limit, and a clean end.

Lava hangs for ever when one of its processes dies or raises, and a killed parent leaves orphans
and shared memory behind. So the run lives in a child process that leads a session of its own;
whatever happens, the processes of that session are ended by id and the shared-memory segments
that they had mapped are removed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hardware.errors import UserError
from hardware.lava_build import align
from hardware.lava_plan import Plan, save_plan

SHM = "/dev/shm/"
GRACE_S = 10.0


def run_process(plan: Plan, limit_s: float | None = None) -> dict[str, np.ndarray]:
    """Run a plan in Lava's multi-process runtime.

    Args:
        plan: what to run.
        limit_s: wall-clock limit in seconds; by default 60 and 50 ms a step.

    Returns:
        spikes uint8 (B, S, N) by population.

    Raises:
        UserError: the runtime failed or took longer than the limit; nothing is left running.
    """
    limit_s = 60 + 0.05 * plan.total if limit_s is None else limit_s
    with tempfile.TemporaryDirectory(prefix="lava_") as name:
        folder = Path(name)
        save_plan(plan, folder / "plan.npz")
        _run_child([sys.executable, "-m", "hardware.lava_child", name], folder, limit_s)
        spikes = {}
        for i, lif in enumerate(plan.lifs):
            rows = np.load(folder / f"spikes.{i}.npy")
            if (rows > 1).any():
                raise UserError(f"Lava's runtime ended before {lif.name} had run every step")
            spikes[lif.name] = align(rows, plan, lif.depth)
        return spikes


def _run_child(command: list[str], folder: Path, limit_s: float) -> None:
    """Run a command as the leader of a new session; clears the session in the end."""
    package = str(Path(__file__).resolve().parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
    log = folder / "log"
    segments: set[str] = set()
    with log.open("wb") as out:
        child = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + limit_s
            while child.poll() is None and time.monotonic() < end:
                if _raised(log):  # Lava itself would now wait for ever
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.1)
            # Read while the session still lives: afterwards nobody knows the names.
            segments = {s for pid in _session(child.pid) for s in _segments(pid)}
        finally:
            _end_session(child, segments)
    if not (folder / "done").exists():
        raise UserError(f"Lava's runtime did not finish within {limit_s:.0f} s: {_reason(log)}")


def _raised(log: Path) -> bool:
    return b"Traceback (most recent call last)" in log.read_bytes()


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and not line.startswith("File")]
    return (errors or lines or ["no message"])[-1][:200]


def _session(leader: int) -> list[int]:
    """Ids of the processes alive in the session that the leader began (Linux; else none)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # Fields after the parenthesised name: state, parent, group, session.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def _segments(pid: int) -> set[str]:
    """Shared-memory files that a process has mapped."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        return {line[line.index(SHM) :].removesuffix(" (deleted)") for line in lines if SHM in line}
    return set()


def _end_session(child: subprocess.Popen, segments: set[str]) -> None:
    end = time.monotonic() + GRACE_S
    # A killed process takes a moment to go, and may have forked just before.
    while (alive := _session(child.pid)) and time.monotonic() < end:
        for pid in alive:
            segments |= _segments(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        child.poll()
        time.sleep(0.01)
    if child.poll() is None:
        child.kill()
        child.wait()
    for segment in segments:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment)
