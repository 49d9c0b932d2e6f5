"""The guard of one run of Lava's runtime: it ends the run when the parent process has died.

`python -m hardware.lava.guard PARENT PREFIX FOLDER COMMAND…` leads a session of its own and runs
the command in it. Lava's processes outlive their parent, whatever kills it, and wait for ever for
one of theirs that was killed; so whatever ends first (the command, the process PARENT, a process of
the session by a signal), the guard kills the session's processes by their ids and removes the
shared memory that they named. It imports nothing but the standard library, to start fast.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import shared_memory
from pathlib import Path

SHM = Path("/dev/shm")
PREFIX_VARIABLE = "LAVA_SEGMENT_PREFIX"
TICK_S = 0.1
SCAN_TICKS = 10
GRACE_S = 10.0


def name_segments(prefix: str) -> None:
    """Let this process and its forks begin the names of shared memory with a prefix.

    By it the segments are found when nobody is left who has them mapped. Python's names have 14
    characters, 4 of them random: at most 9 are left for the prefix.
    """
    shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]


def session(leader: int) -> list[tuple[int, list[str]]]:
    """Processes of the session that the leader began, alive or zombies (Linux; else none).

    Returns:
        id and the fields of /proc/ID/stat from the third: state, parent, group, session, …
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append((int(entry.name), fields))
    return found


def end_session(leader: int, prefix: str, spare: int | None = None) -> None:
    """Kill the living processes of a session by id, all but one; remove its shared memory."""
    end = time.monotonic() + GRACE_S
    # A killed process takes a moment to go, and may have forked just before.
    while time.monotonic() < end:
        alive = [pid for pid, fields in session(leader) if fields[0] != "Z" and pid != spare]
        if not alive:
            break
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    for segment in SHM.glob(f"{prefix}*"):
        segment.unlink(missing_ok=True)


def killed(leader: int) -> str | None:
    """What to say if a process of the session was killed by a signal and nobody took note.

    SIGTERM does not count: Python ends its own managers by it.
    """
    for pid, fields in session(leader):
        number = int(fields[-1]) & 0x7F  # exit_code, the last field, as waitpid gives it
        if fields[0] == "Z" and number not in (0, signal.SIGTERM):
            return f"process {pid} of Lava was killed by {signal.Signals(number).name}"
    return None


def main(parent: int, prefix: str, folder: Path, command: list[str]) -> int:
    """Run the command in this session; returns its exit status, or 1 if it was ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    os.environ[PREFIX_VARIABLE] = prefix
    try:
        child = subprocess.Popen(command)
        return _watch(child, parent)
    finally:
        end_session(os.getpid(), prefix, spare=os.getpid())
        if os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


def _watch(child: subprocess.Popen, parent: int) -> int:
    ticks = 0
    while child.poll() is None:
        # The id of the parent changes when it is gone, however it went.
        if os.getppid() != parent:
            return 1
        ticks += 1
        if ticks % SCAN_TICKS == 0 and (said := killed(os.getpid())):
            print(f"Error: {said}", file=sys.stderr, flush=True)
            return 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(TICK_S)
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        print(f"Error: process {child.pid} of Lava was killed by {name}", file=sys.stderr)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
