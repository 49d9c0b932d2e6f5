"""Prophesee's EVT 2, 2.1 and 3 (``.raw``): a text header, then words of 32, 64 or 16 bits.

Each word has its type in the four highest bits. TIME_HIGH words hold the high bits of the time,
which wrap: after 4.8 hours in EVT 2 and 2.1, and after 16.8 s in EVT 3. A TIME_HIGH that falls by
more than half its range begins another turn, so a recording may begin at any time of the clock;
cameras send TIME_HIGH all the time, so none is missed.
Events before the first TIME_HIGH have no time and are left out, as the specification requires.
Other words (triggers, monitoring) are passed over.

These formats are read here because Faery 0.7.1 reads EVT 3 with wrong times where TIME_HIGH begins
at its largest value or skips 0 at a wrap, delays events after a time without events, and has no
reader of EVT 2.1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.files.columns import Found, build_events, check_whole
from events.kernels import evt3
from mdft.errors import UserError

_HEADER_MOST = 1 << 16
_WORD = {"2": "<u4", "2.1": "<u8", "3": "<u2"}
_READOUT_US = 1 << 12  # a sensor may read out rows some µs out of order

Columns = tuple[NDArray, NDArray, NDArray, NDArray]


def header_end(data: bytes, path: Path) -> int:
    """Return the bytes of the header: the lines that begin with '% ', up to '% end' if it is there.

    Raises:
        UserError: the last line of the header has no end.
    """
    begin = 0
    while data[begin : begin + 2] == b"% ":
        end = data.find(b"\n", begin, begin + _HEADER_MOST)
        if end < 0:
            raise UserError(f"{path}: cut short: its header has no end, and no events follow")
        line, begin = data[begin:end], end + 1
        if line.strip() == b"% end":
            break
    return begin


def read_evt(path: Path) -> Found:
    """Read an EVT file; its version and its sensor's size are in the header.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    data = path.read_bytes()
    begin = header_end(data, path)
    header = data[:begin].decode("ascii", "replace")
    version, options = _version(path, header)
    word = np.dtype(_WORD[version])
    check_whole(path, begin, len(data), word.itemsize, "word")
    words = np.frombuffer(data, word, offset=begin)
    if version == "3":
        x, y, t, p = _evt3(words)
    elif version == "2.1":
        # The IMX636 sends the two halves of a word in the other order.
        legacy = options.get("endianness") == "legacy"
        x, y, t, p = _evt21(words << np.uint64(32) | words >> np.uint64(32) if legacy else words)
    else:
        x, y, t, p = _evt2(words)
    back = np.maximum.accumulate(t) - t if len(t) else t
    if len(t) and 0 < back.max() < _READOUT_US:
        order = np.argsort(t, kind="stable")
        x, y, t, p = x[order], y[order], t[order], p[order]
    return build_events(path, x, y, t, p), _size(header, options)


def _version(path: Path, header: str) -> tuple[str, dict[str, str]]:
    """Return the version, '2', '2.1' or '3', and the options of the line '% format'."""
    form = re.search(r"(?mi)^% *format +EVT *([\d.]+)((?:;[^;\r\n]*)*)\s*$", header)
    plain = re.search(r"(?mi)^% *evt +([\d.]+)", header)
    if not form and not plain:
        raise UserError(
            f"{path}: not a recording that can be read (no line '% evt' or '% format EVT' at its "
            "head); expected EVT 2, 2.1 or 3"
        )
    found = form[1] if form else plain[1] if plain else ""
    version = {"21": "2.1", "2.0": "2", "3.0": "3", "20": "2", "30": "3"}.get(found, found)
    pairs = [item.partition("=") for item in (form[2] if form else "").split(";") if item]
    options = {key.strip().lower(): value.strip().lower() for key, _, value in pairs}
    ends = re.search(r"(?mi)^% *endianness +(\w+)", header)
    if ends:
        options.setdefault("endianness", ends[1].lower())
    if version not in _WORD:
        raise UserError(f"{path}: EVT version {found}, expected 2, 2.1 or 3")
    if options.get("endianness", "little") not in ("little", "legacy"):
        raise UserError(f"{path}: words are {options['endianness']}-endian, expected little-endian")
    return version, options


def _size(header: str, options: dict[str, str]) -> tuple[int, int] | None:
    sides = [options.get(side, "") for side in ("width", "height")]
    geometry = re.search(r"(?mi)^% *geometry +(\d+)x(\d+)", header)
    if not all(side.isdigit() for side in sides) and geometry:
        sides = [geometry[1], geometry[2]]
    width, height = (int(side) if side.isdigit() else 0 for side in sides)
    return (width, height) if width and height else None


def _evt3(words: NDArray[np.uint16]) -> Columns:
    timed, _ = evt3.count(words)
    x, y = np.empty((2, timed), np.uint16)
    t, p = np.empty(timed, np.int64), np.empty(timed, np.bool_)
    evt3.decode(words, x, y, t, p)
    return x, y, t, p


def _evt2(words: NDArray[np.uint32]) -> Columns:
    kind = words >> 28
    event, high_us = _timed(kind, words & 0xFFFFFFF)
    found = words[event]
    x, y = (found >> 11) & 0x7FF, found & 0x7FF
    return x, y, high_us + ((found >> 22) & 63), kind[event] == 1


def _evt21(words: NDArray[np.uint64]) -> Columns:
    kind = (words >> np.uint64(60)).astype(np.uint8)
    upper, valid = (words >> np.uint64(32)).astype(np.uint32), words.astype(np.uint32)
    event, high_us = _timed(kind, upper & 0xFFFFFFF)
    # 32 pixels from x to the right; bit i of the lower half is pixel x + i.
    masks = valid[event].astype("<u4").view(np.uint8).reshape(-1, 4)
    row, bit = np.nonzero(np.unpackbits(masks, axis=1, bitorder="little"))
    found = upper[event][row]
    x, y = ((found >> 11) & 0x7FF) + bit, found & 0x7FF
    return x, y, high_us[row] + ((found >> 22) & 63), kind[event][row] == 1


def _timed(
    kind: NDArray[np.integer], high: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the places of the events after the first TIME_HIGH, and its µs for each of them."""
    at = np.flatnonzero(kind == 8)
    if not len(at):
        return at, at.astype(np.int64)
    highs = high[at].astype(np.int64)
    highs += np.cumsum(np.diff(highs, prepend=highs[:1]) < -(1 << 27)) << 28
    event = np.flatnonzero(kind <= 1)
    event = event[event > at[0]]
    return event, highs[np.searchsorted(at, event) - 1] << 6
