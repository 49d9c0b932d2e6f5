"""What a user can mend, of every package that this one calls."""

from __future__ import annotations

import sys
from collections.abc import Callable

from events.cli import exit_status
from events.errors import UserError as EventsUserError
from hardware.errors import UserError as HardwareUserError
from mdft.errors import UserError
from mdft.machine import checked

MISTAKES = (UserError, EventsUserError, HardwareUserError, OSError)


def run_main(main: Callable[[], int]) -> None:
    """Run a command's ``main`` and exit as :func:`events.cli.exit_status` says.

    Args:
        main: returns the exit status.
    """
    sys.exit(exit_status(lambda: checked(main), MISTAKES))
