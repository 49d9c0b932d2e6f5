"""What the processor can do, and whether the environment asks PyTorch for more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mdft.errors import UserError, closest

_VARIABLE = "ATEN_CPU_CAPABILITY"
#: What PyTorch's kernels need, by the name of their instruction set.
_NEEDS = {
    "default": (),
    "avx2": ("avx2", "fma"),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
}


def features() -> Mapping[str, bool]:
    """The processor's features, by LLVM's names; what is not there is False or missing."""
    import llvmlite.binding  # a tenth of a second that most commands need not wait

    return llvmlite.binding.get_host_cpu_features()


def checked(main: Callable[[], int]) -> int:
    """A command's ``main``, after :func:`check_capability`."""
    check_capability()
    return main()


def check_capability(environment: Mapping[str, str] = os.environ) -> None:
    """Check the variable that chooses PyTorch's kernels.

    PyTorch ignores a name that it does not know, and obeys one that the processor lacks: the
    process then dies of an illegal instruction.

    Args:
        environment: of the process.

    Raises:
        UserError: an unknown name, or an instruction set that this processor does not have.
    """
    name = environment.get(_VARIABLE)
    if name is None:
        return
    if name not in _NEEDS:
        raise UserError(
            f"{_VARIABLE} is {name!r}, expected one of {', '.join(_NEEDS)}{closest(name, _NEEDS)}; "
            "or unset it, for the processor's own"
        )
    has = features() if _NEEDS[name] else {}
    if missing := [need.upper() for need in _NEEDS[name] if not has.get(need)]:
        raise UserError(
            f"{_VARIABLE} is {name!r}, and this processor has no {', no '.join(missing)}: unset it"
        )
