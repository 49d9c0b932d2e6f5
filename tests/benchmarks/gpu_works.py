"""Parts that go wrong; a module of its own, for their processes import it."""

import os
import signal
import subprocess
import time


def fails(record):
    record({"x": 1})
    raise RuntimeError("CUDA error:\n  an illegal memory access")


def hangs(record):
    child = subprocess.Popen(["sleep", "600"])
    record({"pid": child.pid})
    print("about to hang", flush=True)
    time.sleep(600)


def dies(record):
    record({"x": 1})
    os.kill(os.getpid(), signal.SIGKILL)


def lacks(record):
    record({"x": 1, "reason": "SpikingJelly: it is not installed"})


def leaves(record):
    raise SystemExit(0)
