"""DAT of Prophesee (N-CARS), and the format of N-MNIST and N-Caltech101; times are in µs.

DAT is read here because Faery cannot read the headers of N-CARS.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from events.files.columns import Found, check_whole
from events.files.evt import header_end
from events.records import EVENTS
from mdft.errors import UserError

_ATIS = (304, 240)  # the camera of N-MNIST and N-Caltech101


def read_dat(path: Path) -> Found:
    """Read a DAT file: lines that begin with '% ', two bytes, then (t, address) of 32 bits each.

    The address holds x in bits 0–13, y in 14–27, the polarity in 28–31. The time wraps after 71
    minutes.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    data = path.read_bytes()
    begin = header_end(data, path)
    header = data[:begin].decode("ascii", "replace")
    kind = data[begin : begin + 2]
    if begin == 0:
        raise UserError(
            f"{path}: not a DAT recording (no line that begins with '% ' at its head); expected "
            "such lines, type 0008 or 0c08 and 8 bytes per event"
        )
    if len(kind) < 2:
        raise UserError(f"{path}: cut short: it ends with its header; copy it again")
    if kind not in (b"\x00\x08", b"\x0c\x08"):
        raise UserError(
            f"{path}: a DAT recording of type {kind.hex()}, expected contrast events, type 0008 or "
            "0c08"
        )
    version = re.search(r"(?mi)^% *version +(\S+)\s*$", header)
    if version and version[1] != "2":
        raise UserError(f"{path}: DAT version {version[1]}, expected 2")
    check_whole(path, begin + 2, len(data), 8, "event")
    words = np.frombuffer(data, "<u4", offset=begin + 2).reshape(-1, 2)
    time, address = words[:, 0].astype(np.int64), words[:, 1]
    events = np.empty(len(words), dtype=EVENTS)
    events["t"] = time + (np.cumsum(np.diff(time, prepend=time[:1]) < -(1 << 31)) << 32)
    events["x"], events["y"] = address & 0x3FFF, (address >> 14) & 0x3FFF
    events["p"] = (address >> 28) > 0
    sides = [re.search(rf"(?mi)^% {side} (\d+)\s*$", header) for side in ("width", "height")]
    if sides[0] and sides[1]:
        return events, (int(sides[0][1]), int(sides[1][1]))
    return events, None


def read_nmnist(path: Path) -> Found:
    """Read N-MNIST's format: x, y, then polarity in bit 23 and µs in bits 0–22, big-endian.

    An event at y = 240 adds 2^13 µs to the time. The format has no header: a file of another
    format is detected only by its length, its addresses and times that go backwards. For errors
    see `read_dat`.
    """
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if not len(data) or len(data) % 5:
        raise UserError(
            f"{path}: {len(data)} bytes, expected 5 bytes per event (N-MNIST, N-Caltech101); it is "
            "cut short, or a file of another format"
        )
    x, y, high, middle, low = data.reshape(-1, 5).astype(np.int64).T
    wraps = y == 240
    time = ((high & 127) << 16 | middle << 8 | low) + (np.cumsum(wraps) << 13)
    keep = ~wraps
    events = np.empty(int(keep.sum()), dtype=EVENTS)
    events["x"], events["y"], events["t"] = x[keep], y[keep], time[keep]
    events["p"] = high[keep] >> 7 > 0
    if len(events) and (events["x"].max() >= _ATIS[0] or events["y"].max() >= _ATIS[1]):
        raise UserError(
            f"{path}: events up to ({events['x'].max()}, {events['y'].max()}), expected a sensor "
            f"of at most {_ATIS[0]}x{_ATIS[1]}; is it a recording of N-MNIST's format?"
        )
    return events, None
