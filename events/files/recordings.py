"""Recordings of real event cameras, read into Tonic's records.

============ ============================================= ==============================
``.aedat4``  iniVation's DV                                by Faery; declares its sensor
``.raw``     Prophesee's EVT 2, 2.1 and 3                  by Faery; may declare its sensor
``.dat``     Prophesee's older format, N-CARS              here: 8 bytes an event
``.bin``     N-MNIST, N-Caltech101                         here: 5 bytes an event
============ ============================================= ==============================

Times are the µs of the file. Faery cannot read the headers of N-CARS; therefore DAT is read here.
For EVT 3, Faery makes times monotone: a time stamp without events raises later events with earlier
times (by up to 11 µs, 0.7 % of the events of one recording).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.records import EVENTS, LARGEST_SIDE
from mdft.errors import UserError, reason

_NOWHERE = LARGEST_SIDE  # a fallback that no camera has: the header declares no size
_HEADER_MOST = 1 << 16
_ATIS = (304, 240)  # the camera of N-MNIST and N-Caltech101

Found = tuple[NDArray[np.void], tuple[int, int] | None]


def read_faery(path: Path) -> Found:
    """Read aedat4 and EVT files; return (events, declared (width, height) or None).

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    import faery  # the import takes most of a second

    with open(path, "rb") as file:
        head = file.read(_HEADER_MOST)
    if path.suffix.lower() == ".raw" and not re.match(rb"(?i)(%.*\n)*?% ?(evt|format evt)", head):
        raise UserError(
            f"{path}: not a recording that can be read (no line '% evt' or '% format EVT' at its "
            "head); expected EVT 2, 2.1 or 3"
        )
    try:
        stream = faery.events_stream_from_file(path, dimensions_fallback=(_NOWHERE, _NOWHERE))
        size = (int(stream.dimensions()[0]), int(stream.dimensions()[1]))
        read = stream.to_array()
    except Exception as error:  # Faery raises plain Exception, RuntimeError and OSError
        raise UserError(f"{path}: not a recording that can be read ({reason(error)})") from error
    if len(read) and (
        max(read["x"].max(), read["y"].max()) > LARGEST_SIDE or read["t"].max() >> 62
    ):
        raise UserError(f"{path}: an event exceeds 16-bit addresses or 63-bit times")
    events = np.empty(len(read), dtype=EVENTS)
    for name in ("x", "y", "t"):
        events[name] = read[name]
    events["p"] = read["on"]
    return events, None if size == (_NOWHERE, _NOWHERE) else size


def read_dat(path: Path) -> Found:
    """Read a DAT file: text lines that begin with %, two bytes, then (t, address) of 32 bits each.

    The address holds x in bits 0–13, y in 14–27, the polarity in 28–31. Errors: see `read_faery`.
    """
    data = path.read_bytes()
    begin = 0
    while data[begin : begin + 1] == b"%":
        end = data.find(b"\n", begin)
        if end < 0 or end > _HEADER_MOST:
            raise UserError(f"{path}: the DAT header has no end")
        begin = end + 1
    header = data[:begin].decode("ascii", "replace")
    kind = data[begin : begin + 2]
    if begin == 0 or kind not in (b"\x00\x08", b"\x0c\x08") or (len(data) - begin - 2) % 8:
        raise UserError(
            f"{path}: not a DAT recording of contrast events (header of {begin} bytes, type "
            f"{kind.hex() or 'none'}, {len(data)} bytes); expected lines that begin with %, type "
            "0008 or 0c08 and 8 bytes per event"
        )
    words = np.frombuffer(data, "<u4", offset=begin + 2).reshape(-1, 2)
    time, address = words[:, 0].astype(np.int64), words[:, 1]
    events = np.empty(len(words), dtype=EVENTS)
    # 32 bits of µs wrap after 71 minutes.
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
    format is detected only by times that go backwards. For errors see `read_faery`.
    """
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if not len(data) or len(data) % 5:
        raise UserError(
            f"{path}: {len(data)} bytes, expected 5 bytes per event (N-MNIST, N-Caltech101)"
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
