"""Events: the event generation model (EGM) of the paper, in Tonic's conventions.

`frames_to_events` turns luma frames into events, equations (4) and (5); `pool` turns events into
E_v, the dense input of the motion branch, and `frames_to_bins` does both at once;
`feature_events` does the same for feature sequences.
Video files: `events.video.clip`; event files: `events.files.io`; the command: ``python -m
events.convert``. Imports neither torch nor Tonic nor anything else of this project.
"""

from events.binning import frames_to_bins, pool
from events.dense import frames_to_counts
from events.features import FEATURE_EVENTS, feature_events, features_to_events
from events.generator import advance, frames_to_events
from events.luma import rgb_to_luma
from events.noise import Noise
from events.records import EVENTS
from events.response import LUMAS
from events.sensor import Sensor
from mdft.errors import UserError

__all__ = [
    "EVENTS",
    "FEATURE_EVENTS",
    "LUMAS",
    "Noise",
    "Sensor",
    "UserError",
    "advance",
    "feature_events",
    "features_to_events",
    "frames_to_bins",
    "frames_to_counts",
    "frames_to_events",
    "pool",
    "rgb_to_luma",
]
