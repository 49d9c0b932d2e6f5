"""Feature events against hand-computed ones, plain loops, Tonic and the pixel generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tonic.transforms import ToFrame

import events

pytestmark = pytest.mark.rounding


def test_feature_events_by_hand() -> None:
    # Feature 0 drifts up by 0.15 a second in log: fires when 0.2 has added up, then 0.4, 0.6.
    # Feature 1 is negative throughout: relu makes it constant. Feature 2 falls once, by much.
    up = np.exp(0.15 * np.arange(6)) - 1e-3
    features = np.stack([up, np.linspace(-1, -9, 6), [5, 5, 1, 1, 1, 1]], axis=1)
    found = events.feature_events(features, 0.2)
    assert found.dtype == np.int8 and found.shape == (6, 3)
    # 0.15, 0.30, 0.45, 0.60, 0.75 → whole steps 0, 1, 2, 3, 3
    assert found[:, 0].tolist() == [0, 0, 1, 1, 1, 0]
    assert found[:, 1].tolist() == [0] * 6
    assert found[:, 2].tolist() == [0, 0, -1, 0, 0, 0]


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 4)),
        elements=st.floats(-1, 8, width=32),
    ),
    st.sampled_from([0.05, 0.2, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_feature_events_keep_the_memory_within_a_step(
    features: np.ndarray, threshold: float
) -> None:
    # Independent statement of the rule: walk the memory one step at a time, in plain floats.
    log = np.log(np.maximum(features.astype(float), 0) + 1e-3)
    found = events.feature_events(features, threshold)
    for d in range(features.shape[1]):
        level = 0
        for t in range(1, len(features)):
            contrast, before = log[t, d] - log[0, d], level
            while contrast - level * threshold >= threshold * (1 - 1e-9):
                level += 1
            while level * threshold - contrast >= threshold * (1 - 1e-9):
                level -= 1
            assert found[t, d] == np.sign(level - before)
    assert not found[0].any()


def test_feature_events_refuse_nan_and_wrong_shapes() -> None:
    with pytest.raises(events.UserError, match=r"found nan at \[1, 0\]"):
        events.feature_events(np.array([[1.0], [np.nan]]), 0.2)
    with pytest.raises(events.UserError, match=r"expected float \(T, D\)"):
        events.feature_events(np.zeros(4), 0.2)


def test_the_list_by_hand() -> None:
    # Feature 0: ln 2 up in second 1 (levels 1, 2, 3 at C_on 0.2), back in second 3 (C_off 0.5: one
    # event, where L is 0.6 − 0.5 above the start). Feature 1 does not change.
    features = np.array([[1.0, 7.0], [2.0, 7.0], [2.0, 7.0], [1.0, 7.0]]) - 1e-3
    found = events.features_to_events(features, threshold=0.2, threshold_off=0.5)
    ln2 = math.log(2)
    times = [0.2 / ln2, 0.4 / ln2, 0.6 / ln2, 2 + (ln2 - 0.1) / ln2]
    assert found["t"].tolist() == [round(1e6 * t) for t in times]
    assert found["x"].tolist() == [0] * 4 and found["p"].tolist() == [True] * 3 + [False]
    # 288,539 µs apart: a dead time of 0.4 s lets every other one out.
    awake = events.features_to_events(features, threshold=0.2, refractory_us=400_000)
    assert awake["t"].tolist()[:2] == [found["t"][0], found["t"][2]]


def test_the_list_in_tonics_frames_is_the_dense_one() -> None:
    rng = np.random.default_rng(2)
    features = np.exp(np.cumsum(rng.normal(0, 0.3, (9, 512)), axis=0)).astype(np.float32)
    found = events.features_to_events(features, threshold=0.2)
    assert found.dtype.names == ("x", "t", "p") and np.all(np.diff(found["t"]) >= 0)
    # Row t of the dense form is what happened in the second that ends at t: (t − 1, t].
    to_frame = ToFrame(
        sensor_size=(512, 1, 2), time_window=1_000_000, start_time=1, end_time=8_000_001
    )
    frames = to_frame(found).astype(int)
    assert frames.shape == (8, 2, 512) and frames.sum() == len(found) > 3000
    dense = events.feature_events(features, 0.2)
    assert np.array_equal(np.sign(frames[:, 1] - frames[:, 0]), dense[1:])


def test_a_feature_is_a_pixel_of_the_same_log_intensity() -> None:
    # log(relu(v) + ε) of v = y + 1 − ε is the convention log1p of byte y.
    bytes_TD = np.random.default_rng(3).integers(0, 256, (6, 40), dtype=np.uint8)
    found = events.features_to_events(bytes_TD + 1.0 - 1e-3, threshold=0.15, threshold_off=0.4)
    pixels = events.frames_to_events(
        bytes_TD[:, None, :], np.arange(6) * 1_000_000,
        threshold=0.15, threshold_off=0.4, luma="log1p",
    )  # fmt: skip
    assert found["x"].tolist() == pixels["x"].tolist()
    assert found["p"].tolist() == pixels["p"].tolist()
    assert np.abs(found["t"] - pixels["t"]).max() <= 1


def test_mistakes_of_the_list_are_named() -> None:
    good = np.ones((3, 4))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"threshold": 0.0}, "threshold: found 0.0"),
        ({"threshold_off": math.nan}, "threshold_off: found nan"),
        ({"period_us": 0}, "period_us: found 0"),
        ({"refractory_us": 0.5}, "refractory_us: found 0.5"),
    ]
    for change, says in wrong:
        with pytest.raises(events.UserError, match=says):
            events.features_to_events(good, **change)
    with pytest.raises(events.UserError, match="found 40000 of them, expected at most 32767"):
        events.features_to_events(np.ones((2, 40_000)))
    assert len(events.features_to_events(good[:1])) == 0
