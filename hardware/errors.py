"""The one exception a user of `hardware` sees."""


class UserError(ValueError):
    """A user's mistake: the message names the place, what was found, what was expected."""
