"""The checked features of one class, independent of the file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short

import numpy as np

from mdft.errors import UserError


@dataclass(frozen=True)
class ClassFeatures:
    """One modality of the clips of one class.

    Attributes:
        path: the file.
        names: unique clip names.
        features: one (T_i, D) array per clip, float32, finite.
    """

    path: Path
    names: Sequence[str]
    features: Sequence[np.ndarray]

    @property
    def width(self) -> int:
        """D."""
        return self.features[0].shape[1]


def checked(path: Path, names: object, features: Sequence[object]) -> ClassFeatures:
    """Check the names and features of a file.

    Args:
        path: the file.
        names: str or bytes, one per clip.
        features: arrays of numbers (T_i, D), one per clip; a vector (D,) is one second.

    Raises:
        UserError: a name or an array is not as expected; the message names file and clip.
    """
    known = _names(path, names)
    if len(known) != len(features):
        raise UserError(f"{path}: {len(known)} clip names for the features of {len(features)}")
    if not known:
        raise UserError(f"{path}: contains no clip, expected at least one")
    seen: set[str] = set()
    for name in known:
        if name in seen:
            raise UserError(f"{path}: clip {name!r} is listed twice")
        seen.add(name)
    arrays = [_features(path, n, f) for n, f in zip(known, features, strict=True)]
    width = arrays[0].shape[1]
    for name, array in zip(known, arrays, strict=True):
        if array.shape[1] != width:
            raise UserError(
                f"{path}: clip {name!r} is {array.shape[1]} wide, expected {width} "
                f"as clip {known[0]!r}"
            )
    return ClassFeatures(path, known, arrays)


def _names(path: Path, names: object) -> list[str]:
    values = names.tolist() if isinstance(names, np.ndarray) and names.ndim == 1 else names
    if not isinstance(values, list):
        raise UserError(f"{path}: clip names are {type(names).__name__}, expected a list")
    found = []
    for i, value in enumerate(values):
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise UserError(f"{path}: name {i} is not UTF-8: {value!r}") from error
        if not isinstance(value, str) or not value:
            raise UserError(f"{path}: name {i} is {short(value)}, expected a clip's name")
        found.append(value)
    return found


def _features(path: Path, name: str, features: object) -> np.ndarray:
    expected = "expected numbers (T, D), one vector per second, or one vector (D,)"
    if not isinstance(features, np.ndarray):
        raise UserError(f"{path}: clip {name!r} is {type(features).__name__}, {expected}")
    if features.dtype.kind not in "fiu" or features.ndim not in (1, 2) or 0 in features.shape:
        raise UserError(f"{path}: clip {name!r} is {features.dtype} {features.shape}, {expected}")
    with np.errstate(over="ignore"):  # beyond float32: becomes infinite, refused below
        array = np.atleast_2d(features.astype(np.float32, copy=False))
    if not np.isfinite(array).all():
        t, d = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise UserError(
            f"{path}: clip {name!r} has {features[t, d]} at second {t}, feature {d}, "
            "expected finite numbers"
        )
    return array
