"""What every reader of recordings needs: checked records, and refusals that name the cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.records import EVENTS, LARGEST_SIDE, check_values
from mdft.errors import UserError

#: The events of a recording, and its declared (width, height) or None.
Found = tuple[NDArray[np.void], tuple[int, int] | None]

# Real recordings shrink to a twentieth or so when compressed, and an attack to a thousandth.
_EXPANSION = 100
_SLACK = 1 << 26  # small files may expand more: constant test data


def build_events(
    path: Path,
    x: NDArray[np.integer],
    y: NDArray[np.integer],
    t: NDArray[np.integer],
    p: NDArray[np.integer] | NDArray[np.bool_],
) -> NDArray[np.void]:
    """Build records from columns of equal length (n,); order is not checked here.

    Args:
        path: the file, for messages.
        x: column of the pixel, from the left.
        y: row of the pixel, from the top.
        t: time, µs.
        p: polarity: bool, or 1 for ON and 0 or −1 for OFF.

    Returns:
        (n,) events of dtype `EVENTS`.

    Raises:
        UserError: the lengths differ, or a value is out of range.
    """
    if len({len(x), len(y), len(t), len(p)}) != 1:
        raise UserError(
            f"{path}: {len(x)} values of x, {len(y)} of y, {len(t)} of t and {len(p)} of p, "
            "expected the same number of each; the file is damaged or cut short"
        )
    if len(t):
        for name, values in (("x", x), ("y", y)):
            if values.min() < 0 or values.max() > LARGEST_SIDE:
                raise UserError(
                    f"{path}: {name} runs from {values.min()} to {values.max()}, expected 0 to "
                    f"{LARGEST_SIDE}"
                )
        check_values(path, t, p)
    events = np.empty(len(t), dtype=EVENTS)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p > 0
    return events


def check_expansion(path: Path, declared: int, held: int) -> None:
    """Refuse data that would expand to far more bytes than a compressed recording does.

    Args:
        path: the file, for messages.
        declared: the bytes that its data would take when read.
        held: the bytes of the file.

    Raises:
        UserError: see above.
    """
    if declared > _SLACK + _EXPANSION * held:
        raise UserError(
            f"{path}: {held:,} bytes would expand to {declared:,} or more, expected at most "
            f"{_EXPANSION} times as many; the file is damaged, or made to fill the memory"
        )


def check_whole(path: Path, begin: int, length: int, size: int, what: str) -> None:
    """Refuse a file whose last record is not whole.

    Args:
        path: the file, for messages.
        begin: the bytes before the first record.
        length: the bytes of the file.
        size: the bytes of one record.
        what: the format's name for a record.

    Raises:
        UserError: the file is cut short; the message has the command that drops the last piece.
    """
    rest = max(length - begin, 0) % size
    if rest:
        raise UserError(
            f"{path}: cut short: its last {rest} bytes are no whole {what} of {size}; copy it "
            f"again, or drop them (truncate -s {length - rest} FILE)"
        )
