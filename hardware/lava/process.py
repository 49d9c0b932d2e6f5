"""Lava's own runtime in a child process with its own session, a time limit and cleanup.

Lava hangs for ever when one of its processes dies or raises, and a killed parent leaves orphans
and shared memory behind. Therefore a child process with a session of its own runs Lava. In every
case the processes of that session are ended by id and their shared-memory segments removed: by
this process, or by the guard in the session if this process has died.
`mdft.isolation` ends only one process, not Lava's tree of processes with its shared memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hardware.lava.build import align
from hardware.lava.guard import end_session
from hardware.lava.plan import Plan, save_plan
from mdft.errors import UserError

NETX_FILE = "network.net"


def run_process(
    plan: Plan, limit_s: float | None = None, netx: Callable[[Path], None] | None = None
) -> dict[str, np.ndarray]:
    """Run a plan in Lava's multi-process runtime.

    Args:
        plan: the plan to run.
        limit_s: wall-clock limit in seconds; by default 60 (300 for netx, which is slow to
            import) plus 50 ms per step.
        netx: a function that writes the .net file of the plan's populations.

    Returns:
        Spikes uint8 (B, S, N) by population.

    Raises:
        UserError: the runtime failed or exceeded the limit; all of its processes have been ended.
    """
    if limit_s is None:
        limit_s = (300 if netx else 60) + 0.05 * plan.total
    with tempfile.TemporaryDirectory(prefix="lava_") as name:
        folder = Path(name)
        save_plan(plan, folder / "plan.npz")
        if netx:
            netx(folder / NETX_FILE)
        run_child([sys.executable, "-m", "hardware.lava.child", name], folder, limit_s)
        spikes = {}
        for i, lif in enumerate(plan.lifs):
            rows = np.load(folder / f"spikes.{i}.npy")
            if (rows > 1).any():
                raise UserError(f"Lava's runtime ended before {lif.name} ran all steps")
            spikes[lif.name] = align(rows, plan, lif.depth)
        return spikes


def run_child(command: list[str], folder: Path, limit_s: float) -> None:
    """Run a command under `hardware.lava.guard`; end its session afterwards.

    Args:
        command: the command; it must write a file `done` into the folder when it has succeeded.
        folder: the folder for `log` and the command's files; removed if this process dies.
        limit_s: the wall-clock limit in seconds.

    Raises:
        UserError: the command failed, was killed or exceeded the limit.
    """
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
    prefix = f"lv{secrets.token_hex(3)}_"
    guard = [sys.executable, "-m", "hardware.lava.guard", str(os.getpid()), prefix, str(folder)]
    log, end = folder / "log", time.monotonic() + limit_s
    with log.open("wb") as out:
        child = subprocess.Popen(
            [*guard, *command],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        try:
            while child.poll() is None and time.monotonic() < end:
                if _raised(log):  # Lava would now wait for ever
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.1)
            late = time.monotonic() >= end
        finally:
            end_session(child.pid, prefix)
            child.kill()
            child.wait()
    if not (folder / "done").exists():
        how = f"did not finish within {limit_s:.0f} s" if late else "failed"
        raise UserError(f"Lava's runtime {how}: {_reason(log)}")


def _raised(log: Path) -> bool:
    return b"Traceback (most recent call last)" in log.read_bytes()


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and not line.startswith("File")]
    return (errors or lines or ["no message"])[-1][:200]
