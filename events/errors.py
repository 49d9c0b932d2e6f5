"""The one exception of this package that is the user's to mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in an argument or a file: the text says what was found and what to do.

    Command lines print it in one line on stderr and exit with status 2.
    """
