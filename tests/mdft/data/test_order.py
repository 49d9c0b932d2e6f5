"""The benchmark of order: its sequences by hand, and that nothing but the order differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import events
from mdft.config import DataConfig
from mdft.config.features import of_rendered
from mdft.config.order import ORDERS, OrderConfig, OrderCounts
from mdft.config.rendered import RenderedConfig
from mdft.data.dataset import SPLITS
from mdft.data.export import manual_name
from mdft.data.order.classes import OrderClass, make_classes, word_vectors
from mdft.data.order.clip import render_clip
from mdft.data.order.sequence import Order, Pace, displacement, draw_pace, envelope, strokes
from mdft.data.rendered import benchmark
from mdft.data.rendered.content import content_of
from mdft.data.rendered.scenes import paint
from mdft.data.sources import load_clips
from mdft.errors import UserError

ALL = [Order(*values) for values in product(*ORDERS.values())]
PACE = Pace(motion=0.7, ratio=0.5, rest=0.02, pause=0.05, sound=0.2)
TINY = OrderConfig(
    counts=OrderCounts(groups=4, clips_per_class=3, val_clips=1, test_clips=1),
    seconds=2,
    size=32,
)
seeds = pytest.mark.parametrize("seed", [0, 1, 7, 2**31])


def order(text: str) -> Order:
    return Order(*text.split("-"))


@pytest.mark.parametrize(
    ("text", "starts", "durations", "signs"),
    [
        (
            "right_left-speeding-once-sound_after",
            [-0.40, -0.18, 0.04, 0.16, 0.28, 0.35],
            [0.2, 0.2, 0.1, 0.1, 0.05, 0.05],
            [1, -1] * 3,
        ),
        (
            "right_left-speeding-thrice-sound_after",
            [-0.45, -0.23, 0.04, 0.16, 0.33, 0.40],
            [0.2, 0.2, 0.1, 0.1, 0.05, 0.05],
            [1, -1] * 3,
        ),
        (
            "left_right-slowing-once-sound_before",
            [-0.40, -0.33, -0.26, -0.14, -0.02, 0.20],
            [0.05, 0.05, 0.1, 0.1, 0.2, 0.2],
            [-1, 1] * 3,
        ),
    ],
)
def test_strokes_by_hand(text, starts, durations, signs):
    found = strokes(order(text), PACE)
    assert [s.start for s in found] == pytest.approx(starts)
    assert [s.duration for s in found] == pytest.approx(durations)
    assert [s.sign for s in found] == signs


def test_displacement_by_hand():
    once = order("right_left-speeding-once-sound_after")
    # Rest, start, quarter, middle and end of the first stroke, rest, middle of the second one.
    time = np.array([-0.45, -0.40, -0.35, -0.30, -0.20, -0.19, -0.08])
    expected = [0, 0, 0.5, 1, 0, 0, -1]
    for cycle in (-1, 0, 3):
        np.testing.assert_allclose(displacement(once, PACE, time + cycle), expected, atol=1e-12)


@pytest.mark.parametrize(("timing", "middle"), [("sound_before", -0.25), ("sound_after", 0.25)])
def test_the_sound_is_a_quarter_of_a_cycle_before_or_after_the_motion(timing, middle):
    found = replace(ALL[0], timing=timing)
    time = middle + np.array([0, 0.08, 0.1, 0.12, 0.3, -0.1])
    np.testing.assert_allclose(envelope(found, PACE, time), [1, 1, 0.5, 0, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(envelope(found, PACE, time + 2), envelope(found, PACE, time))


@pytest.mark.parametrize("found", ALL, ids=str)
def test_reversing_the_time_exchanges_direction_tempo_and_timing(found):
    other = found.reversed()
    assert other.count == found.count and other.reversed() == found
    assert sum(a != b for a, b in zip(found.values, other.values, strict=True)) == 3
    time = np.linspace(-1, 1, 4001)
    for seed in range(3):
        pace = draw_pace(np.random.default_rng(seed))
        for function in (displacement, envelope):
            back = function(found, pace, -time)
            np.testing.assert_allclose(function(other, pace, time), back, atol=1e-9)


@pytest.mark.parametrize("lag", range(9))
def test_a_short_window_shows_the_same_in_every_order(lag):
    """The pairs (x(t), x(t + h)), over a whole cycle, are the same ones for h up to the rest."""
    step = 0.0025  # every stroke begins and ends on this grid, at both ends of the window
    time = (np.arange(400) + 0.5) * step

    def shown(found: Order) -> np.ndarray:
        pairs = [displacement(found, PACE, t) for t in (time, time + lag * step)]
        return np.array(sorted(zip(*(np.round(x, 9) + 0.0 for x in pairs), strict=True)))

    assert lag * step <= PACE.rest
    for found in ALL:
        np.testing.assert_allclose(shown(found), shown(ALL[0]), atol=1e-8)
    sounds = [np.sort(envelope(found, PACE, time)) for found in ALL]
    np.testing.assert_allclose(sounds, [sounds[0]] * len(ALL), atol=1e-9)


def test_a_rest_lasts_an_event_bin_and_a_pause_is_not_the_longest_rest():
    config = OrderConfig()
    for seed in range(100):
        pace = draw_pace(np.random.default_rng(seed))
        assert pace.rest * config.seconds >= 1 / config.bins_per_second
        span = pace.motion + 5 * pace.rest + 2 * pace.pause
        assert 1 - span > 1.5 * (pace.rest + pace.pause)


@seeds
def test_unseen_classes_are_the_other_half_of_the_orders(seed):
    classes = make_classes(seed, OrderCounts())
    kinds = Counter(c.kind for c in classes)
    assert kinds == {"seen": 48, "val_unseen": 8, "test_unseen": 8}
    assert [c.name for c in classes] == sorted({c.name for c in classes})
    seen = [c for c in classes if c.kind == "seen"]
    assert (
        min(Counter(c.motion for c in seen).values()) >= 2 and len({c.motion for c in seen}) == 16
    )
    for kind, group in {(c.kind, (c.object, c.sound)) for c in classes}:
        orders = [c.order for c in classes if c.kind == kind and (c.object, c.sound) == group]
        assert len(set(orders)) == 8
        for three in ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)):
            counts = Counter(tuple(o.values[i] for i in three) for o in orders)
            assert sorted(counts.values()) == [1] * 8
        if kind != "seen":
            known = {c.motion for c in seen if (c.object, c.sound) == group}
            assert not known & {str(o) for o in orders}


@seeds
def test_scenes_help_the_seen_and_mislead_about_the_unseen(seed):
    classes = make_classes(seed, OrderCounts())
    homes = {s for c in classes if c.kind == "seen" for s in c.scenes}
    for c in classes:
        own = {s.scenes[0] for s in classes if s.kind == "seen" and s.motion == c.motion}
        assert len(c.scenes) == 1 if c.kind == "seen" else set(c.scenes) == homes - own != set()


@seeds
def test_no_two_classes_have_the_same_words(seed):
    classes = make_classes(seed, OrderCounts())
    for noise in (0.0, 0.1):
        words = word_vectors(seed, classes, noise).astype(np.float64)
        np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-6)
        distances = np.linalg.norm(words[:, None] - words, axis=2) + 9 * np.eye(len(classes))
        assert distances.min() > 0.3, "one attribute of six differs: about sqrt(2/6) = 0.58"
    # The loaders of other projects sort the classes by their names as words.
    names = [manual_name(c.name) for c in classes]
    assert names == sorted(names)


@seeds
def test_splits_are_disjoint_and_complete(seed):
    content = content_of(replace(TINY, seed=seed))
    assert set(content.splits) == set(SPLITS)
    parts = [clips for name, clips in content.splits.items() if name != "stage_2_train"]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(content.classes) * 3))
    kinds = np.array([c.kind for c in content.classes])
    assert set(kinds[content.splits["test_unseen"] // 3]) == {"test_unseen"}
    assert set(kinds[content.splits["stage_2_train"] // 3]) == {"seen", "val_unseen"}


def clip_of(config: OrderConfig, found: Order, clip: int, class_id: int = 0):
    kind = OrderClass("c", "striped_ball", str(found), "hum", "test_unseen", ("sea",), found)
    return render_clip(config, kind, class_id, clip)


def test_clips_differ_in_nothing_but_the_order():
    """Where the object is at the same place, frames are equal; where the sound is, samples are."""
    config = replace(TINY, seconds=4)
    a, b = ALL[0], ALL[0].reversed()
    first, second = clip_of(config, a, 3), clip_of(config, b, 3)
    assert first.recipe == second.recipe
    rest = np.array([(x == y).all() for x, y in zip(first.frames, second.frames, strict=True)])
    assert 10 < rest.sum() < 50
    moved = np.abs(first.frames.astype(int) - second.frames).max(axis=3)
    assert (moved[:, [0, 1, 2, -3, -2, -1]] == 0).all(), "noise and scene are the same"
    silent = first.sound == second.sound
    assert 0.4 < silent.mean() < 0.8


def test_a_scene_looks_the_same_in_all_clips():
    """Apart from shake and light; scenes of the embedded benchmark differ from clip to clip."""
    config, still = replace(TINY, seconds=4), ALL[0]
    frames = [clip_of(config, still, j).frames.mean(axis=(0, 3))[:8].ravel() for j in range(5)]
    correlation = np.corrcoef(frames)
    assert correlation.min() > 0.8
    texture = [paint("sea", np.random.default_rng(j), 32, 0).mean(2)[:8].ravel() for j in range(5)]
    assert np.corrcoef(texture).min() < 0.5


def test_averages_and_single_moments_do_not_tell_the_orders_apart():
    """Clips that differ in their random numbers, too: every difference is within its error."""
    config = replace(TINY, seconds=4, event_threshold=0.2)
    measured, values, ahead = [], [], []
    for i, (found, j) in enumerate(product(ALL, range(14))):
        clip = clip_of(config, found, j, class_id=i)
        luma = events.rgb_to_luma(clip.frames)
        bins = events.frames_to_bins(luma, clip.times_us, seconds=4, bins_per_second=8)
        cells = bins.reshape(32, 2, 4, 4, 4, 4).sum(axis=(3, 5)).reshape(32, 32).astype(float)
        loud = np.square(clip.sound.reshape(32, -1), dtype=np.float64).mean(axis=1)
        ends = luma.reshape(len(luma), 8, 4, 8, 4).mean(axis=(2, 4))[[0, -1]].ravel()
        measured.append(
            [*cells.mean(axis=0), *(cells**2).mean(axis=0), *ends, loud.mean(), loud[0], loud[-1]]
        )
        values.append([v == ORDERS[name][0] for name, v in zip(ORDERS, found.values, strict=True)])
        busy = cells.sum(axis=1)
        lead = [np.mean(loud * np.roll(busy, -lag)) for lag in range(4, 12)]
        lag = [np.mean(loud * np.roll(busy, lag)) for lag in range(4, 12)]
        ahead.append(np.sum(lead) - np.sum(lag))
    x, y = np.array(measured), np.array(values)

    def error(x: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Difference of the means of two groups, in its standard errors."""
        a, b = x[first], x[~first]
        return (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b) + 1e-30)

    for attribute in range(4):
        assert np.abs(error(x, y[:, attribute])).max() < 4.2
    # A measurement over two moments and both modalities does tell sound before from sound after.
    assert abs(error(np.array(ahead), y[:, 3])) > 8


@pytest.mark.rounding
def test_the_data_source_has_both_and_records_how(tmp_path):
    clips = load_clips(DataConfig(source="order", order=TINY, cache=tmp_path))
    assert len(clips) == 48 * 3 and clips.events_MKD.shape == (288, 8, 512)
    assert clips.provenance is not None and clips.provenance.source == "order"
    assert clips.provenance.features == of_rendered(TINY).described()
    (path,) = tmp_path.iterdir()
    assert path == benchmark.cache_path(TINY, tmp_path) and path.name.startswith("order-")
    raw = benchmark.build(TINY, progress=False, threads=1)
    assert raw.events_MKD.tobytes() == np.asarray(clips.events_MKD).tobytes()


def test_the_cache_of_the_embedded_benchmark_keeps_its_name():
    name = "rendered-ecf36c65056046216cbcf4590e1cdb88e36023aaebbd22059f7992a85af4ea90"
    assert benchmark.cache_path(RenderedConfig()).stem == name


@pytest.mark.parametrize(
    ("field", "value"),
    [("motions", 8), ("seen_per_group", 4), ("unseen_per_group", 4), ("groups", 3),
     ("val_groups", 0), ("clips_per_class", 8)],
)  # fmt: skip
def test_impossible_counts_are_named(field, value):
    with pytest.raises(UserError, match=f"^{field} is {value}, expected "):
        replace(OrderCounts(), **{field: value}).check()
