"""Events: the event generation model (EGM) of the paper, in Tonic's conventions.

`frames_to_events` turns luma frames into events, equations (4) and (5); `pool` turns events into
E_v, the dense input of the motion branch, and `frames_to_bins` does both at once;
`feature_events` does the same for feature sequences.

Video files: `events.video.clip`; event files: `events.files.io`; the command: ``python -m
events.convert``. The package imports neither torch nor Tonic, and only
:mod:`mdft.cli` and :mod:`mdft.errors` of this project; numba is imported at its first use.
"""

from typing import TYPE_CHECKING

import lazy_loader

from mdft.errors import UserError as UserError

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "binning": ["frames_to_bins", "pool"],
        "dense": ["frames_to_counts"],
        "features": ["FEATURE_EVENTS", "feature_events", "features_to_events"],
        "generator": ["advance", "frames_to_events"],
        "luma": ["rgb_to_luma"],
        "noise": ["Noise"],
        "records": ["EVENTS"],
        "response": ["LUMAS"],
        "sensor": ["Sensor"],
    },
)
__all__ += ["UserError"]

if TYPE_CHECKING:
    from events.binning import frames_to_bins as frames_to_bins
    from events.binning import pool as pool
    from events.dense import frames_to_counts as frames_to_counts
    from events.features import FEATURE_EVENTS as FEATURE_EVENTS
    from events.features import feature_events as feature_events
    from events.features import features_to_events as features_to_events
    from events.generator import advance as advance
    from events.generator import frames_to_events as frames_to_events
    from events.luma import rgb_to_luma as rgb_to_luma
    from events.noise import Noise as Noise
    from events.records import EVENTS as EVENTS
    from events.response import LUMAS as LUMAS
    from events.sensor import Sensor as Sensor
