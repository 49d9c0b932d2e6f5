"""The one exception of this package that is the user's to mend, and what its texts are made of."""

from __future__ import annotations

import difflib
import operator
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import SupportsIndex

_MOST = 10**18  # sums of two fit in int64; in µs it is 30 000 years


class UserError(ValueError):
    """A mistake in an argument or a file: the text says what was found and what to do.

    Command lines print it in one line on stderr and exit with status 2.
    """


def whole(name: str, value: SupportsIndex, least: int = -_MOST) -> int:
    """Return the integer `value` (Python's or NumPy's) of the argument `name` as an int.

    Raises:
        UserError: a float (2.0 too, nan, inf) or anything else that is no integer, or one
            outside `least` to 10^18.
    """
    try:
        number = operator.index(value)
    except TypeError as error:
        raise UserError(f"{name}: found {value!r}, expected an integer") from error
    if not least <= number <= _MOST:
        raise UserError(f"{name}: found {number}, expected an integer from {least} to {_MOST}")
    return number


def reason(error: Exception) -> str:
    """Return what a library's error says, in one line."""
    said = str(getattr(error, "strerror", None) or error)
    return " ".join(said.split()) or type(error).__name__


def require_file(path: Path, expected: str) -> None:
    """Refuse what is no regular file, such as a pipe: opening one would hang.

    Raises:
        UserError: names the file and what was `expected`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        said = error.strerror or error
        raise UserError(f"{path}: cannot be opened ({said}); expected {expected}") from error
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a folder, pipe or device, expected {expected}")


def closest(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?``, or nothing if no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error of a name that is none of the known ones, with the nearest of them.

    Args:
        what: of what it was to be the name; a flag or a noun.
        name: as the user wrote it.
        known: the names there are.
    """
    known = list(known)
    return UserError(
        f"{what} is {name!r}, expected one of {', '.join(known)}{closest(name, known)}"
    )
