"""Check the instruction sets of the processor against ``ATEN_CPU_CAPABILITY`` of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mdft.errors import UserError, closest

_VARIABLE = "ATEN_CPU_CAPABILITY"
#: Value of the variable → processor features that PyTorch's kernels need.
_NEEDS = {
    "default": (),
    "avx2": ("avx2", "fma"),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
}


def features() -> Mapping[str, bool]:
    """The processor's features by LLVM's names; unsupported ones are False or missing."""
    import llvmlite.binding  # imported here: it takes 0.1 s, and most commands do not need it

    return llvmlite.binding.get_host_cpu_features()


def checked(main: Callable[[], int]) -> int:
    """Run :func:`check_capability`, then a command's ``main``; returns its exit status."""
    check_capability()
    return main()


def check_capability(environment: Mapping[str, str] = os.environ) -> None:
    """Check the environment variable that selects PyTorch's kernels.

    PyTorch ignores an unknown value. With an instruction set that the processor does not have, the
    process is killed by an illegal instruction.

    Args:
        environment: environment variables of the process.

    Raises:
        UserError: the value is unknown, or this processor does not have the instruction set.
    """
    name = environment.get(_VARIABLE)
    if name is None:
        return
    if name not in _NEEDS:
        raise UserError(
            f"{_VARIABLE} is {name!r}, expected one of {', '.join(_NEEDS)}{closest(name, _NEEDS)}; "
            "or unset it, and PyTorch selects the processor's own"
        )
    has = features() if _NEEDS[name] else {}
    if missing := [need.upper() for need in _NEEDS[name] if not has.get(need)]:
        raise UserError(
            f"{_VARIABLE} is {name!r}, and this processor has no {', no '.join(missing)}: unset it"
        )
