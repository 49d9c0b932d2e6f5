"""``njit`` of numba, with the compiled code kept on disk wherever a folder can be written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba


def _writable() -> bool:
    """Whether numba finds a folder for compiled code; without one it refuses to cache at all."""

    def nothing() -> None: ...

    try:
        numba.njit(cache=True)(nothing)
    except RuntimeError:
        print(
            "note: numba can write neither beside this package nor in the user's cache, and "
            "compiles again in every process; set NUMBA_CACHE_DIR to a folder that can be written",
            file=sys.stderr,
        )
        return False
    return True


_CACHE = _writable()


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """:func:`numba.njit` of these options; ``cache`` has an effect only where it can have one."""
    compiler: Any = numba.njit
    return compiler(**{**options, "cache": _CACHE and options.get("cache", False)})
