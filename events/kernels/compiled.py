"""``njit`` of numba, with the compiled code cached on disk if a folder is writable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba


def _writable() -> bool:
    """Whether numba finds a writable folder for compiled code; without one ``cache`` raises."""

    def nothing() -> None: ...

    try:
        numba.njit(cache=True)(nothing)
    except RuntimeError:
        print(
            "note: numba can write neither beside this package nor in the user's cache, and "
            "compiles again in every process; set NUMBA_CACHE_DIR to a writable folder",
            file=sys.stderr,
        )
        return False
    return True


_CACHE = _writable()


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """:func:`numba.njit` with these options; ``cache`` is dropped if no folder is writable."""
    compiler: Any = numba.njit
    return compiler(**{**options, "cache": _CACHE and options.get("cache", False)})
