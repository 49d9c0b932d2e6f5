"""Metadata of event files, and the conditions that every event file must meet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from events.records import LARGEST_SIDE
from events.sensor import Sensor
from mdft.errors import UserError

FORMAT = "mdft-events"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Metadata:
    """The metadata of an event file.

    Attributes:
        sensor_size: (width, height, polarities = 2), as in Tonic.
        source: name of the clip or recording, without its folder.
        sensor: the generator's settings, including the luma convention; None for a real camera.
        fps: nominal frame rate of the clip, 0 if it declares none.
        frames: frames used, 0 for a real camera.
        start_us: the start of the first bin, µs: 0 for a clip, the first event of a recording.
        duration_us: the time from there to the last frame or event, µs.
    """

    sensor_size: tuple[int, int, int]
    source: str
    sensor: Sensor | None = None
    fps: float = 0.0
    frames: int = 0
    start_us: int = 0
    duration_us: int = 0

    @property
    def seconds(self) -> int:
        """T: the number of whole seconds that it spans, at least 1."""
        return max(1, -(-self.duration_us // 1_000_000))

    def to_json(self) -> str:
        """Return the metadata as JSON, with the format's name and version."""
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION} | asdict(self))


def metadata_from_json(path: Path, text: Any) -> Metadata:
    """Parse the text of `Metadata.to_json`; `path` is used in messages.

    Raises:
        UserError: it is not JSON or has another format or version, or a field is missing or wrong.
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: its metadata are not JSON ({error})") from error
    found = found if isinstance(found, dict) else {}
    kind, version = found.pop("format", None), found.pop("format_version", None)
    if (kind, version) != (FORMAT, FORMAT_VERSION):
        raise UserError(
            f"{path}: format {kind} version {version}, expected {FORMAT} version {FORMAT_VERSION}; "
            "convert the clip again"
        )
    try:
        metadata = _build(Metadata, found)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: invalid metadata ({error})") from error
    width, height, polarities = metadata.sensor_size
    if not (1 <= min(width, height) <= max(width, height) <= LARGEST_SIDE) or polarities != 2:
        raise UserError(
            f"{path}: sensor_size {metadata.sensor_size}, expected (width, height, 2) with sides "
            f"of 1 to {LARGEST_SIDE}"
        )
    if metadata.duration_us < 0 or metadata.frames < 0:
        raise UserError(f"{path}: {metadata.frames} frames and {metadata.duration_us} µs, "
                        "expected no negative numbers")  # fmt: skip
    return metadata


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    """Build a frozen dataclass from plain values, including nested dataclasses.

    Raises:
        KeyError, TypeError, ValueError: a field is missing, unknown or of another type.
    """
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        odd = ", ".join(sorted(names ^ set(values)))
        raise ValueError(f"found fields {sorted(values)}, missing or unknown: {odd}")
    return kind(**{name: _value(name, hints[name], values[name]) for name in names})


def _value(name: str, hint: Any, value: Any) -> Any:
    kinds = get_args(hint) if type(None) in get_args(hint) else (hint,)
    if value is None and type(None) in kinds:
        return None
    (kind,) = (k for k in kinds if k is not type(None))
    if is_dataclass(kind):
        return _build(kind, value)  # type: ignore[arg-type]
    if get_args(kind) and isinstance(value, list):  # sensor_size, the only tuple
        if len(value) != 3 or any(type(side) is not int for side in value):
            raise ValueError(f"{name}: found {value}, expected three integers")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name}: found {value!r}, expected {kind.__name__}")
    return value


def check_events(
    path: Path, events: NDArray[np.void], width: int, height: int, *, in_order: bool
) -> None:
    """Check that events are on the sensor and, if `in_order`, sorted by t.

    Raises:
        UserError: they are not; the message has the file.
    """
    for name, side in (("x", width), ("y", height)):
        values = events[name]
        if values.size and (values.min() < 0 or values.max() >= side):
            raise UserError(
                f"{path}: {name} runs from {values.min()} to {values.max()}, expected 0 to "
                f"{side - 1}"
            )
    if in_order and np.any(np.diff(events["t"]) < 0):
        raise UserError(f"{path}: times go backwards, expected events sorted by t")
