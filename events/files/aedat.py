"""AEDAT 2 and 3.1 of jAER, cAER and v2e (``.aedat``), and AEDAT 4 of iniVation's DV.

The first line is ``#!AER-DAT`` and the version. Addresses of AEDAT 2 depend on the camera, which
jAER names in a line ``# AEChip:``; we follow jAER's own extractors, and put (0, 0) top left:

======== ======================================================== ==============================
camera   bits of the address                                      not an event
======== ======================================================== ==============================
DVS128   x 1–7, y 8–14, polarity 0: a 0 is ON                     any bit above 14 (external)
DAVIS    x 12–21, y 22–30, polarity 11: a 1 is ON                 31 (frame, IMU), 10 (external)
======== ======================================================== ==============================

Both count x from the right and y from the bottom. The page of iniVation gives the polarity of
DVS128 the other way; jAER, dv-processing and SpikingJelly agree with the table. Times are 32 bits
of µs in AEDAT 2, which wrap after 71 minutes, and 63 bits in AEDAT 3.1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.files.columns import Found, build_events, check_whole
from events.files.isolated import read_isolated
from mdft.errors import UserError

_HEADER_MOST = 1 << 24  # jAER copies all its settings into the header
_DAVIS = {"240": (240, 180), "346": (346, 260), "640": (640, 480), "128": (128, 128)}
_V2E = ((240, 180), (346, 260))  # the two sizes of v2e, which does not write which
_POLARITY_EVENT = 1
_PACKET = np.dtype([
    ("kind", "<i2"), ("source", "<i2"), ("size", "<i4"), ("time_at", "<i4"),
    ("overflow", "<i4"), ("capacity", "<i4"), ("number", "<i4"), ("valid", "<i4"),
])  # fmt: skip


def read_aedat(path: Path) -> Found:
    """Read an AEDAT file of version 2, 3.1 or 4.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    version = re.match(rb"#!AER-DAT(\d+\.\d+)", head)
    if not version:
        raise UserError(
            f"{path}: not an AEDAT recording (no line '#!AER-DAT' at its head); expected AEDAT 2, "
            "3.1 or 4"
        )
    number = version[1].decode()
    if number.startswith("4"):
        return read_isolated(path, "aedat4")
    data = path.read_bytes()
    begin = _header_end(data)
    header = data[:begin].decode("latin-1")
    if number == "2.0":
        return _read_2(path, data, begin, header)
    if number == "3.1":
        return _read_3(path, data, begin, header)
    raise UserError(f"{path}: AEDAT {number}, expected 2.0, 3.1 or 4.0; convert it with jAER or DV")


def _header_end(data: bytes) -> int:
    """Return the bytes of the header: lines of text that begin with #, up to the declared end."""
    begin = 0
    while data[begin : begin + 1] == b"#":
        end = data.find(b"\n", begin, begin + _HEADER_MOST)
        line = data[begin:end].rstrip(b"\r")
        # The address of an event may begin with the byte of '#'.
        if end < 0 or any(c < 9 or c == 127 for c in line):
            break
        begin = end + 1
        if line.startswith((b"#!END-HEADER", b"#End Of ASCII Header")):
            break
    return begin


def _read_2(path: Path, data: bytes, begin: int, header: str) -> Found:
    check_whole(path, begin, len(data), 8, "event")
    words = np.frombuffer(data, ">u4", offset=begin).reshape(-1, 2).astype("<u4")
    address, time = words[:, 0], words[:, 1].astype(np.int64)
    chip = re.search(r"(?mi)^# *AEChip: *(\S+)", header)
    name = chip[1].rsplit(".", 1)[-1].lower() if chip else ""
    davis = re.search(r"davis\D*(128|240|346|640)", name)
    if "dvs128" in name or (not name and len(address) and address.max() < 1 << 16):
        event, width, height = address < 1 << 15, 128, 128
        x, y, p = (address >> 1) & 0x7F, (address >> 8) & 0x7F, (address & 1) == 0
    elif davis or "created by AEDat2Output in v2e" in header:
        event = (address & (1 << 31 | 1 << 10)) == 0
        x, y, p = (address >> 12) & 0x3FF, (address >> 22) & 0x1FF, (address >> 11) & 1 > 0
        sizes = (_DAVIS[davis[1]],) if davis else _V2E
        most_x, most_y = int(x[event].max(initial=0)), int(y[event].max(initial=0))
        fitting = [size for size in sizes if most_x < size[0] and most_y < size[1]]
        if not fitting:
            raise UserError(
                f"{path}: events up to ({most_x}, {most_y}), expected a sensor of at most "
                f"{sizes[-1][0]}x{sizes[-1][1]}; the file is damaged"
            )
        width, height = fitting[0]
    else:
        raise UserError(
            f"{path}: AEDAT 2 of {name or 'a camera that its header does not name'}, expected a "
            "line '# AEChip: …' with a DVS128 or a DAVIS 128, 240, 346 or 640; save it in jAER"
        )
    if not len(address):
        raise UserError(f"{path}: no events in it, expected a complete recording of that format")
    # The 32 bits of µs are signed in some writers; either way they wrap alike.
    time += np.cumsum(np.diff(time, prepend=time[:1]) < -(1 << 31)) << 32
    x, y = width - 1 - x[event].astype(np.int32), height - 1 - y[event].astype(np.int32)
    return build_events(path, x, y, time[event], p[event]), (width, height)


def _read_3(path: Path, data: bytes, begin: int, header: str) -> Found:
    form = re.search(r"(?mi)^#Format: *(\S+)", header)
    if not form or form[1].upper() != "RAW":
        raise UserError(
            f"{path}: AEDAT 3.1 of format {form[1] if form else 'unknown'}, expected RAW; "
            "convert it with DV"
        )
    parts: list[tuple[NDArray[np.uint32], NDArray[np.int64]]] = []
    while begin < len(data):
        body = begin + _PACKET.itemsize
        if body > len(data):
            raise _cut(path, begin, len(data))
        packet = np.frombuffer(data, _PACKET, 1, begin)[0]
        size, number = int(packet["size"]), int(packet["number"])
        begin = body + size * int(packet["capacity"])
        if size < 1 or not 0 <= number <= int(packet["capacity"]):
            raise UserError(f"{path}: a packet of {number} events of {size} bytes; it is damaged")
        # The last packet of a recording may hold fewer events than its capacity.
        if body + size * number > len(data):
            raise _cut(path, body - _PACKET.itemsize, len(data))
        if packet["kind"] == _POLARITY_EVENT:
            if size != 8 or packet["time_at"] != 4:
                raise UserError(
                    f"{path}: polarity events of {size} bytes with the time at byte "
                    f"{packet['time_at']}, expected 8 bytes with the time at byte 4"
                )
            words = np.frombuffer(data, "<u4", 2 * number, body).reshape(-1, 2)
            valid = words[:, 0] & 1 > 0
            time = words[valid, 1].astype(np.int64) + (int(packet["overflow"]) << 31)
            parts.append((words[valid, 0], time))
    if not parts:
        raise UserError(f"{path}: no polarity events in it, expected a recording of a DVS")
    address, time = (np.concatenate(column) for column in zip(*parts, strict=True))
    p = (address >> 1) & 1 > 0
    return build_events(path, address >> 17, (address >> 2) & 0x7FFF, time, p), _size_3(header)


def _cut(path: Path, whole: int, length: int) -> UserError:
    return UserError(
        f"{path}: cut short: its last {length - whole} bytes are no whole packet; copy it again, "
        f"or drop them (truncate -s {whole} FILE)"
    )


def _size_3(header: str) -> tuple[int, int] | None:
    """Return the size of the only camera that the header names, if it is a known one."""
    names = re.findall(r"(?mi)^#Source +\d+: *(\S+)", header)
    if len(names) != 1:
        return None
    davis = re.match(r"DAVIS\D*(128|240|346|640)", names[0], re.I)
    return (128, 128) if names[0].upper() == "DVS128" else _DAVIS[davis[1]] if davis else None
