"""What a user can mend: raised with what was found, what was expected and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

from events.errors import UserError as EventsUserError


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


#: Characters of an error's line; a name from a hostile file may have millions.
_LONGEST = 2000


def run_main(main: Callable[[], int]) -> None:
    """Run a command's ``main``; a user's mistake becomes one line on stderr and exit 2.

    Args:
        main: returns the exit status.
    """
    try:
        status = main()
    except (UserError, EventsUserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())[:_LONGEST]}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
