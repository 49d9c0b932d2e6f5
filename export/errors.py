"""The one exception a user of `export` sees."""


class UserError(ValueError):
    """A user's mistake: the message names the place, what was found, what was expected."""
