"""What a user can mend: raised with what was found, what was expected and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

from events.cli import exit_status
from events.errors import UserError as EventsUserError
from mdft.machine import checked


class UserError(ValueError):
    """A mistake in a file or an argument; the command line prints it in one line, exit 2."""


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


def printable(text: object) -> str:
    """A text from a stranger in one line: what a terminal would obey or cannot show is �."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def run_main(main: Callable[[], int]) -> None:
    """Run a command's ``main`` and exit as :func:`events.cli.exit_status` says.

    Args:
        main: returns the exit status.
    """
    sys.exit(exit_status(lambda: checked(main), (UserError, EventsUserError, OSError)))
