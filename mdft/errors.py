"""The exception for a user's mistake, and the texts that its messages are made of; free of torch.

Every package of this project raises :class:`UserError` or a subclass of it, and every command
prints it in one line and exits with status 2 (:func:`mdft.cli.exit_status`).
"""

from __future__ import annotations

import difflib
import operator
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

if TYPE_CHECKING:
    from pydantic import ValidationError

_MOST = 10**18  # sums of two fit in int64; in µs it is 30 000 years


class UserError(ValueError):
    """A mistake in an argument or a file: what was found, what was expected and what to do."""


def require(condition: bool, field: str, found: object, expected: str) -> None:
    """Raise a :class:`UserError` about a field of a configuration unless a condition holds.

    Args:
        condition: what must be true.
        field: name of the field.
        found: its value.
        expected: what it may be.
    """
    if not condition:
        raise UserError(f"{field} is {found!r}, expected {expected}")


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Dotted name of the first field that pydantic refused, empty for the whole value, and why."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


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


def require_file(path: Path, expected: str) -> None:
    """Refuse what is no regular file, such as a pipe: opening one would hang.

    Raises:
        UserError: names the file and what was `expected`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        message = error.strerror or error
        raise UserError(f"{path}: cannot be opened ({message}); expected {expected}") from error
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a folder, pipe or device, expected {expected}")


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error of a name that is none of the known ones, with the nearest of them.

    Args:
        what: what the name should be the name of; a flag or a noun.
        name: as the user wrote it.
        known: the names there are.
    """
    known = list(known)
    return UserError(
        f"{what} is {name!r}, expected one of {', '.join(known)}{closest(name, known)}"
    )


def closest(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?``, or an empty string if no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def reason(error: Exception) -> str:
    """The message of a library's error, in one line."""
    message = str(getattr(error, "strerror", None) or error)
    return " ".join(message.split()) or type(error).__name__


def printable(text: object) -> str:
    """A text from an untrusted file in one line; control characters are replaced by �."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "\ufffd" for c in words)
