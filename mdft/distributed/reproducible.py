"""The same bits on every x86-64 processor: what has to hold of a process, and its start.

Sums round differently with the order of their terms, and libraries choose that order by the
processor: its vector width, its vendor, its number of cores. Each library reads a variable when it
is loaded that makes the choice for it, so a command that finds another environment starts itself
again with this one. What is left is one instruction set, AVX2 with FMA, which processors have
since 2013 (Intel) and 2015 (AMD).

The bits are those of one set of library versions, of ``uv.lock``, and of one C library, whose sine
and exponential draw the clips.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import NoReturn

import torch

from mdft.distributed.world import world
from mdft.errors import UserError
from mdft.machine import features

#: What every library has to be told before it is loaded.
ENVIRONMENT = {
    # PyTorch's own kernels: the ones for AVX2, which machines with AVX-512 have, too.
    "ATEN_CPU_CAPABILITY": "avx2",
    # Matrix products and elementwise functions of MKL, which is in PyTorch: its AVX2 branch
    # computes differently on AMD; this one promises the same results on Intel and AMD.
    "MKL_CBWR": "COMPATIBLE",
    # NumPy: no kernel for AVX-512, whose functions round differently; the others are left.
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
    ),
    # Matrix products of NumPy, in the features of the sound: the kernel for AVX2, one thread.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # Sums are shared out by the number of threads.
    "OMP_NUM_THREADS": "1",
}
#: What would undo a part of it. Our compiled loops sum in one order on every processor, but need
#: its fused multiply-add, and so do the C library's sine and exponential.
_ABSENT = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "GLIBC_TUNABLES")
_NEEDED = ("avx2", "fma")
_active = False


def active() -> bool:
    """Whether :func:`begin` has been called in this process."""
    return _active


def differing() -> list[str]:
    """What this process was started without: ``NAME=value``, or ``NAME unset``, sorted.

    A variable that Python code sets later comes too late for a library that is loaded, so this
    looks at the environment that the process was given.
    """
    given = _given()
    wrong = [f"{name}={value}" for name, value in ENVIRONMENT.items() if given.get(name) != value]
    return sorted(wrong + [f"{name} unset" for name in _ABSENT if name in given])


def _given() -> dict[str, str]:
    items = Path("/proc/self/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(item).split("=", 1) for item in items if b"=" in item)


def check_machine() -> None:
    """Check that this machine can run what :data:`ENVIRONMENT` chooses.

    Raises:
        UserError: it is no x86-64 under Linux, or has no AVX2 or FMA.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise UserError(f"--compute.reproducible on {here}: expected Linux on x86-64; leave it out")
    has = features()
    missing = [name.upper() for name in _NEEDED if not has.get(name)]
    if missing:
        raise UserError(
            f"--compute.reproducible: this processor has no {' and no '.join(missing)}; leave it "
            "out, the scores then differ by some points"
        )


def possible() -> bool:
    """Whether :func:`check_machine` finds nothing missing."""
    try:
        check_machine()
    except UserError:
        return False
    return True


def begin() -> None:
    """Make this process compute the same bits on every machine, to its end.

    One thread, and convolutions without oneDNN, which compiles them for the processor at hand.

    Raises:
        UserError: it was not started with :data:`ENVIRONMENT`, it is one of several under
            torchrun, or as :func:`check_machine`.
    """
    global _active
    check_machine()
    if world().size > 1:
        raise UserError("--compute.reproducible under torchrun: leave one of the two out")
    if wrong := differing():
        raise UserError(
            "--compute.reproducible: libraries read these variables when they are loaded; start "
            f"Python with {', '.join(wrong)}"
        )
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False
    _active = True


def restart() -> None:
    """Replace this process by the same command with :data:`ENVIRONMENT`, unless it has that.

    Under torchrun it does nothing: :func:`begin` refuses that.

    Raises:
        UserError: as :func:`check_machine`.
    """
    check_machine()
    if differing() and world().size == 1:
        _exec()


def _exec() -> NoReturn:
    kept = {name: value for name, value in os.environ.items() if name not in _ABSENT}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**kept, **ENVIRONMENT})


if __name__ == "__main__":  # for the Makefile: the flag, where this machine can follow it
    print("--compute.reproducible" if possible() else "")
