"""The NumPy dtype of events: Tonic's ``events_struct``."""

from __future__ import annotations

import numpy as np

#: dtype of `tonic.io.events_struct`: packed, 13 bytes, t in µs, p True = brighter (ON).
EVENTS = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
LARGEST_SIDE = 32767  # x and y are int16
