"""The NumPy dtype of events, Tonic's ``events_struct``, and the values that become such records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdft.errors import UserError

#: dtype of `tonic.io.events_struct`: packed, 13 bytes, t in µs, p True = brighter (ON).
EVENTS = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
LARGEST_SIDE = 32767  # x and y are int16


def check_values(name: object, t: NDArray[np.integer], p: NDArray[np.integer | np.bool_]) -> None:
    """Check that times and polarities have one meaning.

    Args:
        name: file or argument, for messages.
        t: time, µs.
        p: polarity: bool, or 1 for ON and 0 or −1 for OFF, but not both.

    Raises:
        UserError: a time does not fit in 62 bits, or a polarity is another number.
    """
    if not len(t):
        return
    if max(abs(int(t.min())), abs(int(t.max()))) >> 62:
        raise UserError(f"{name}: times run from {t.min()} to {t.max()}, expected µs")
    low, high = int(p.min()), int(p.max())
    if low < -1 or high > 1 or (low == -1 and bool((p == 0).any())):
        raise UserError(
            f"{name}: polarities run from {low} to {high}, expected 1 for ON and 0 or -1 for OFF"
        )
