"""Events: the event generation model (EGM) of the paper, in Tonic's conventions.

`frames_to_events` turns luma frames into events, equations (4) and (5); `pool` turns events into
E_v, the dense input of the motion branch; `feature_events` does the same for feature sequences.
Video files: `events.video`; event files: `events.io`; the command: ``python -m events.convert``.
Imports neither torch nor Tonic nor anything else of this project.
"""

from events.binning import frames_to_bins, pool
from events.errors import UserError
from events.features import feature_events
from events.generator import EVENTS, Sensor, advance, frames_to_events
from events.luma import rgb_to_luma
from events.response import LUMAS

__all__ = [
    "EVENTS",
    "LUMAS",
    "Sensor",
    "UserError",
    "advance",
    "feature_events",
    "frames_to_bins",
    "frames_to_events",
    "pool",
    "rgb_to_luma",
]
