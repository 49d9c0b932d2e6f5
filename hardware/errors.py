"""The one exception a user of `hardware` sees, and what its texts are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake: the message names the place, what was found, what was expected."""


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
