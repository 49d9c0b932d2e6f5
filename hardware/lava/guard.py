"""The guard of one run of Lava's runtime: it ends the run when the parent process has died.

`python -m hardware.lava.guard PARENT PREFIX FOLDER COMMAND…` starts a new session and
runs the command in it. Lava's processes do not end with their parent, and they wait for ever if one
of them is killed. Therefore, when the command or the process PARENT ends, or a signal kills a
process of the session, the guard kills the session's processes by their ids and removes their
shared memory. It imports only the standard library, so that it starts fast.
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
    """Make the names of shared memory of this process and its forks begin with a prefix.

    The prefix identifies the segments when no process has them mapped any more. Python's names
    have 14 characters, 4 of them random: the prefix has at most 9.
    """
    shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]


def session(leader: int) -> list[tuple[int, list[str]]]:
    """Return the processes of the leader's session, living ones and zombies (Linux; else none).

    Returns:
        The id and the fields of /proc/ID/stat from the third: state, parent, group, session, …
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append((int(entry.name), fields))
    return found


def end_session(leader: int, prefix: str, spare: int | None = None) -> None:
    """Kill the processes of a session by id, except `spare`; remove its shared memory."""
    end = time.monotonic() + GRACE_S
    # A killed process needs some time to end, and may have forked just before.
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
    """Return a message if a process of the session was killed by a signal, else None.

    SIGTERM is ignored: Python ends its own managers with it.
    """
    for pid, fields in session(leader):
        number = int(fields[-1]) & 0x7F  # exit_code, the last field, as waitpid gives it
        if fields[0] == "Z" and number not in (0, signal.SIGTERM):
            return f"process {pid} of Lava was killed by {signal.Signals(number).name}"
    return None


def main(parent: int, prefix: str, folder: Path, command: list[str]) -> int:
    """Run the command in this session; return its exit status, or 1 if it had to be ended."""
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
        # The parent's id changes when the parent has ended, for any reason.
        if os.getppid() != parent:
            return 1
        ticks += 1
        if ticks % SCAN_TICKS == 0 and (message := killed(os.getpid())):
            print(f"Error: {message}", file=sys.stderr, flush=True)
            return 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(TICK_S)
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        print(f"Error: process {child.pid} of Lava was killed by {name}", file=sys.stderr)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
