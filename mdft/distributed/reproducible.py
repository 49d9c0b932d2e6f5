"""Bit-identical results on every x86-64 processor with AVX2 and FMA.

The rounding of a sum depends on the order of its terms, and libraries choose that order by the
processor's vector width, vendor and number of cores. Environment variables, which each library
reads when it is loaded, fix that choice; a command that was started without them restarts itself
with them. All code paths then use AVX2 with FMA, which processors have had since 2013 (Intel) and
2015 (AMD).

Results are identical only for the same library versions (``uv.lock``) and the same C library, whose
sine and exponential are used to render the clips.
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

#: Environment variables that must be set before the libraries are loaded.
ENVIRONMENT = {
    # PyTorch's own kernels: use those for AVX2, also on machines with AVX-512.
    "ATEN_CPU_CAPABILITY": "avx2",
    # Matrix products and elementwise functions of MKL, a part of PyTorch. Its AVX2 branch differs
    # between Intel and AMD; this one guarantees the same results on both.
    "MKL_CBWR": "COMPATIBLE",
    # NumPy: disable the AVX-512 kernels, whose functions round differently.
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
    ),
    # Matrix products of NumPy, in the audio features: the kernel for AVX2, one thread.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # The number of threads changes the order of sums.
    "OMP_NUM_THREADS": "1",
}
#: Variables that must not be set. Our compiled loops sum in one order on every processor, but use
#: fused multiply-adds, and so do the C library's sine and exponential.
_ABSENT = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "GLIBC_TUNABLES")
_NEEDED = ("avx2", "fma")
_active = False


def active() -> bool:
    """Whether :func:`begin` has been called in this process."""
    return _active


def differing() -> list[str]:
    """The settings that the process was started without: ``NAME=value`` or ``NAME unset``, sorted.

    A variable that Python sets later has no effect on a loaded library, so this reads the
    environment that the process was started with.
    """
    given = _given()
    wrong = [f"{name}={value}" for name, value in ENVIRONMENT.items() if given.get(name) != value]
    return sorted(wrong + [f"{name} unset" for name in _ABSENT if name in given])


def _given() -> dict[str, str]:
    items = Path("/proc/self/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(item).split("=", 1) for item in items if b"=" in item)


def check_machine() -> None:
    """Check that this machine supports the code paths of :data:`ENVIRONMENT`.

    Raises:
        UserError: it is not x86-64 under Linux, or its processor lacks AVX2 or FMA.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise UserError(f"--compute.reproducible on {here}: expected Linux on x86-64; leave it out")
    has = features()
    missing = [name.upper() for name in _NEEDED if not has.get(name)]
    if missing:
        raise UserError(
            f"--compute.reproducible: this processor has no {' and no '.join(missing)}; leave it "
            "out; scores then differ by a few points"
        )


def possible() -> bool:
    """Whether :func:`check_machine` finds nothing missing."""
    try:
        check_machine()
    except UserError:
        return False
    return True


def begin() -> None:
    """Make this process compute bit-identical results on every machine from now on.

    It uses one thread and disables oneDNN, which compiles convolutions for the present processor.

    Raises:
        UserError: the process was not started with :data:`ENVIRONMENT`, torchrun started several
            processes, or as :func:`check_machine`.
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
    """Restart this command with :data:`ENVIRONMENT`, unless it was started with it.

    Does nothing under torchrun, where :func:`begin` raises an error.

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
