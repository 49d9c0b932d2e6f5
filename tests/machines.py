"""``python -m tests.machines``: the tests whose outcome could depend on the processor, on many.

Runs the tests marked ``rounding`` under each environment below, which emulates another processor or
another number of threads, and prints a table. Exit status 1 if a test failed in one of them. Lava's
tests compare integers, and processes that tests start choose their own environment: both are left
to ``make test``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

#: What is emulated → the variables that do it, beside one thread of PyTorch.
MACHINES = {
    "this processor, one thread": {},
    "PyTorch without AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "PyTorch with AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "MKL's results of any x86-64": {"MKL_CBWR": "COMPATIBLE"},
    "numba for any x86-64": {"NUMBA_CPU_NAME": "generic"},
    "this processor, two threads": {"OMP_NUM_THREADS": "2"},
}
SELECTION = "rounding and not lava and not subprocess"


def main(arguments: list[str]) -> int:
    """Run the tests in every environment; ``arguments`` go to pytest."""
    rows, failed = [], False
    for machine, variables in MACHINES.items():
        given = " ".join(f"{name}={value}" for name, value in variables.items()) or "–"
        print(f"== {machine}: {given}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        # Two processes of two threads would wait for each other's cores.
        workers = "1" if "OMP_NUM_THREADS" in variables else "auto"
        command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-m", SELECTION, *arguments]
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        failed |= done.returncode != 0
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-2000:])
        counts = re.findall(r"\d+ (?:passed|failed|errors?)\b", done.stdout.splitlines()[-1])
        rows.append(f"| {machine} | `{given}` | {', '.join(counts) or 'none'} | {seconds:.0f} |")
        print(rows[-1], flush=True)
    print("| emulated | variables | tests | seconds |\n|---|---|---|---|", *rows, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
