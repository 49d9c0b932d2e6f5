"""Clips and sensors that hypothesis draws, for the tests of the generator."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from events.response import LUMAS


def pixel(values: list[int]) -> np.ndarray:
    """A clip of one pixel."""
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1)


def plain(found: np.ndarray) -> list[tuple[int, ...]]:
    return [(int(e["x"]), int(e["y"]), int(e["t"]), int(e["p"])) for e in found]


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 45)))
    # Few distinct bytes make repeats, returns and equal times common.
    bytes_of = st.sampled_from([0, 1, 9, 10, 11, 50, 100, 200, 255]) | st.integers(0, 255)
    frames = draw(hnp.arrays(np.uint8, shape, elements=bytes_of))
    steps = draw(st.lists(st.integers(1, 50_000), min_size=shape[0], max_size=shape[0]))
    return frames, draw(st.integers(-(10**9), 10**12)) + np.cumsum(steps)


sensors = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([0.02, 0.2, math.log(2), 0.5]) | st.floats(0.01, 3.0),
        "threshold_off": st.sampled_from([None, 0.2, 0.3, math.log(2)]) | st.floats(0.01, 3.0),
        "refractory_us": st.sampled_from([0, 0, 1, 700, 60_000]),
        "luma": st.sampled_from(LUMAS),
    }
)
