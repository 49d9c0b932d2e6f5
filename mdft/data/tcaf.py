"""Features a second: one pickle a class, ``{"features", "video_names", "fps"}``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdft.data.clip_features import ClassFeatures, checked
from mdft.data.unpickle import load
from mdft.errors import UserError

#: What a file says beyond its own length: a list that names one array many times.
_MOST_REPEATED = 4


def read_seconds(path: Path) -> ClassFeatures:
    """The clips of one class, ``features`` a list of (T_i, D); ``fps`` is not needed.

    Raises:
        UserError: naming file and clip: not such a file, anything in it but arrays and names, or
            features that are not as expected.
        OSError: it cannot be read.
    """
    found = load(path)
    keys = ("features", "video_names")
    if not isinstance(found, dict) or any(key not in found for key in keys):
        what = (
            ", ".join(map(str, list(found)[:8]))
            if isinstance(found, dict)
            else type(found).__name__
        )
        raise UserError(f"{path}: found {what}, expected a dict of features and video_names")
    features, names = (found[key] for key in keys)
    if isinstance(features, np.ndarray):
        features = list(features)
    if not isinstance(features, list):
        raise UserError(f"{path}: features is {type(features).__name__}, expected a list")
    size = sum(4 * f.size for f in features if isinstance(f, np.ndarray))
    limit = _MOST_REPEATED * path.stat().st_size
    if size > limit:
        raise UserError(f"{path}: its features come to {size} bytes, expected at most {limit}")
    return checked(path, names, features)
