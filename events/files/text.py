"""Lists of events as text (``.txt``, ``.csv``): one event per line, columns named by a header.

A header names the four columns: v2e's comment ``# Format is time (float s), x, y, polarity``, or a
line of names, with or without a ``#``, such as ``t x y p`` or ``timestamp_us,x,y,polarity``. Fields
are separated by commas, semicolons, tabs or spaces. Without a header the order of the columns and
the unit of the time are a guess, so such files are refused.

The unit of the time is in its name (``t_us``, ``time [ns]``). Without one, whole numbers are µs, as
Metavision writes them; numbers with a decimal point are seconds if x has none, as in RPG's data.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.files.columns import Found, build_events
from mdft.errors import UserError, printable, reason

_HEAD_BYTES = 1 << 16
_NAMES = {
    "t": "t",
    "ts": "t",
    "time": "t",
    "timestamp": "t",
    "timestamps": "t",
    "x": "x",
    "y": "y",
    "p": "p",
    "pol": "p",
    "polarity": "p",
}
_SCALE = {"us": 1.0, "µs": 1.0, "μs": 1.0, "ns": 1e-3, "ms": 1e3, "s": 1e6, "sec": 1e6}
_EXPECTED = (
    "expected a first line that names the columns, such as 't x y p' (t in µs, or in seconds if it "
    "has a decimal point)"
)


@dataclass(frozen=True)
class _Header:
    """Columns in the file's order, µs per unit of time or None, and the lines of the header."""

    columns: tuple[str, ...]
    scale: float | None
    lines: int


def _head(path: Path) -> _Header | str:
    """Return the header of a text file, or why it is none."""
    with open(path, "rb") as file:
        data = file.read(_HEAD_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        if "\0" in text:
            return "not a text file"
    header: _Header | None = None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        comment = line.startswith("#") or not line.strip()
        if not comment and re.match(r"\s*[-+\d.]", line):
            break
        named = _columns(line.lstrip("#% "))
        if named is not None:
            header = _Header(*named, number + 1)
        if not comment:
            if header is None:
                return f"line {number + 1} is {printable(line)[:60]!r}"
            break
    else:
        return "it has no events" if header is None else header
    if header is None:
        return f"no header before line {number + 1}: {printable(line)[:60]!r}"
    # Comments behind the names belong to the header, too.
    return _Header(header.columns, header.scale, max(header.lines, number))


def _columns(line: str) -> tuple[tuple[str, ...], float | None] | None:
    """Return the columns that a line names, and µs per unit of time; None if it names others."""
    if re.match(r"Format is time \(float s\), x, y, polarity", line):
        return ("t", "x", "y", "p"), 1e6
    separator = r"[,;\t]" if re.search(r"[,;\t]", line) else r"\s+"
    fields = [field.strip() for field in re.split(separator, line.strip())]
    columns, scale = [], None
    for field in fields:
        match = re.fullmatch(r"([a-z]+)[ _]*[\[(]?(us|µs|μs|ns|ms|s|sec)?[\])]?", field.lower())
        name = field.lower() if field.lower() in _NAMES else match[1] if match else ""
        if name not in _NAMES:
            return None
        columns.append(_NAMES[name])
        if _NAMES[name] == "t" and name != field.lower() and match and match[2]:
            scale = _SCALE[match[2]]
    return (tuple(columns), scale) if sorted(columns) == ["p", "t", "x", "y"] else None


def is_event_list(path: Path) -> bool:
    """Whether a text file has a header that names the columns of events."""
    return isinstance(_head(path), _Header)


def read_text(path: Path) -> Found:
    """Read a list of events.

    Raises:
        UserError: the file cannot be read; the message has the file and the reason.
    """
    header = _head(path)
    if isinstance(header, str):
        raise UserError(f"{path}: not a list of events ({header}); {_EXPECTED}")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    body = re.sub(r"[,;\t]", " ", "".join(text.split("\n", header.lines)[header.lines :]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no data: an error below
            table = np.loadtxt(io.StringIO(body), np.float64, comments="#", ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: not a list of events ({reason(error)}); {_EXPECTED}") from error
    if not table.size:
        raise UserError(f"{path}: no events in it, expected a line for each")
    if table.shape[1] != 4:
        raise UserError(f"{path}: {table.shape[1]} columns, expected the 4 that its header names")
    at = {name: i for i, name in enumerate(header.columns)}
    x, y, p = (_whole(path, name, table[:, at[name]]) for name in ("x", "y", "p"))
    t = table[:, at["t"]]
    scale = header.scale or _guess(path, header, body.split(None, 4)[:4], t)
    if not (np.abs(t * scale) < 2.0**62).all():
        raise UserError(f"{path}: times from {t.min()} to {t.max()}, expected finite times")
    t = np.rint(t * scale).astype(np.int64)
    return build_events(path, x, y, t, p), None


def _guess(path: Path, header: _Header, first: list[str], t: NDArray[np.float64]) -> float:
    """Return µs per unit of a time without one: seconds if it has a decimal point, else µs."""
    real = [re.search(r"[.eE]", field) is not None for field in first]
    if real[header.columns.index("t")] and real[header.columns.index("x")]:
        names = " ".join("t_us" if name == "t" else name for name in header.columns)
        raise UserError(
            f"{path}: all its numbers have a decimal point, so the unit of the time is unknown; "
            f"name it in the header: {names}"
        )
    return 1e6 if real[header.columns.index("t")] or (t != np.rint(t)).any() else 1.0


def _whole(path: Path, name: str, values: NDArray) -> NDArray[np.int64]:
    if not (np.abs(values) < 2.0**31).all() or (values != np.rint(values)).any():
        raise UserError(f"{path}: {name} has values that are no integers, expected pixels")
    return values.astype(np.int64)
