"""Classes, homes, splits and word vectors of the embedded benchmark."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mdft.config.rendered import SCENES, ClassCounts, RenderedConfig
from mdft.data.dataset import SPLITS
from mdft.data.rendered.classes import make_classes, make_splits, word_vectors
from mdft.data.rendered.clip import clip_rng, draw_recipe
from mdft.errors import UserError

COUNTS = (
    ClassCounts(),
    ClassCounts(groups=4, seen_per_group=2, val_groups=1, test_groups=1, motions=4,
                unseen_per_group=2, clips_per_class=5, val_clips=1, test_clips=2),
    ClassCounts(groups=12, unseen_per_group=2, val_groups=4, test_groups=4),
)  # fmt: skip
cases = pytest.mark.parametrize(("seed", "counts"), [(s, c) for s in (0, 1, 7) for c in COUNTS])


def attributes(c):
    return c.object, c.motion, c.sound


def test_default_counts():
    kinds = Counter(c.kind for c in make_classes(0, ClassCounts()))
    assert kinds == {"seen": 32, "val_unseen": 8, "test_unseen": 8}


@cases
def test_unseen_classes_are_new_combinations_of_known_attributes(seed, counts):
    classes = make_classes(seed, counts)
    assert [c.name for c in classes] == sorted({c.name for c in classes})
    assert len({attributes(c) for c in classes}) == len(classes)
    seen = [c for c in classes if c.kind == "seen"]
    for c in classes:
        for i, value in enumerate(attributes(c)):
            assert sum(attributes(s)[i] == value for s in seen) >= 2


@cases
def test_only_the_motion_decides_within_a_group(seed, counts):
    classes = make_classes(seed, counts)
    for kind in ("seen", "val_unseen", "test_unseen"):
        groups = Counter((c.object, c.sound) for c in classes if c.kind == kind)
        assert min(groups.values()) >= 2
    frequency = Counter(c.motion for c in classes if c.kind == "seen")
    assert len(set(frequency.values())) == 1, "motions must be equally frequent among the seen"


@cases
def test_scenes_help_the_seen_and_mislead_about_the_unseen(seed, counts):
    classes = make_classes(seed, counts)
    homes = {c.name: c.scenes for c in classes if c.kind == "seen"}
    assert all(len(scenes) == 1 for scenes in homes.values())
    everywhere = {s for scenes in homes.values() for s in scenes}
    for c in classes:
        if c.kind != "seen":
            of_motion = {s.scenes[0] for s in classes if s.kind == "seen" and s.motion == c.motion}
            assert c.scenes and set(c.scenes) == everywhere - of_motion


def test_clips_happen_where_their_class_says():
    config = RenderedConfig()
    classes = make_classes(config.seed, config.counts)
    at_home, n = 0, 0
    for i, c in enumerate(classes):
        for j in range(24):
            scene = draw_recipe(config, c, clip_rng(config, i, j)).scene
            assert scene in SCENES
            if c.kind == "seen":
                at_home, n = at_home + (scene == c.scenes[0]), n + 1
            else:
                assert scene in c.scenes
    # By lot, and one in ten of the rest by chance.
    expected = config.home_probability + (1 - config.home_probability) / len(SCENES)
    assert at_home / n == pytest.approx(expected, abs=0.04)


@cases
def test_splits_are_disjoint_and_complete(seed, counts):
    classes = make_classes(seed, counts)
    splits = make_splits(classes, counts)
    assert set(splits) == set(SPLITS)
    assert all(s.dtype == np.int64 and (np.diff(s) > 0).all() for s in splits.values())
    parts = [s for name, s in splits.items() if name != "stage_2_train"]
    clips = np.concatenate(parts)
    assert np.array_equal(np.sort(clips), np.arange(len(classes) * counts.clips_per_class))
    before_test = ("stage_1_train", "val_seen", "val_unseen")
    union = np.sort(np.concatenate([splits[s] for s in before_test]))
    assert np.array_equal(splits["stage_2_train"], union)


@cases
def test_splits_hold_the_classes_they_should(seed, counts):
    classes = make_classes(seed, counts)
    splits = make_splits(classes, counts)

    def clips(split: str, kind: str) -> set[int]:
        found = Counter(
            int(i) for i in splits[split] // counts.clips_per_class if classes[i].kind == kind
        )
        assert set(found) in (set(), {i for i, c in enumerate(classes) if c.kind == kind})
        return set(found.values())

    n, val, test = counts.clips_per_class, counts.val_clips, counts.test_clips
    expected = {
        "stage_1_train": ({n - val - test}, set(), set()),
        "val_seen": ({val}, set(), set()),
        "val_unseen": (set(), {n - test}, set()),
        "stage_2_train": ({n - test}, {n - test}, set()),
        "test_seen": ({test}, {test}, set()),
        "test_unseen": (set(), set(), {n}),
    }
    for split, wanted in expected.items():
        kinds = ("seen", "val_unseen", "test_unseen")
        assert tuple(clips(split, kind) for kind in kinds) == wanted, split


def test_words_without_noise_are_sums_of_attributes():
    """Sums of unit vectors: the cosine of two words is a third for each shared attribute."""
    classes = make_classes(0, ClassCounts())
    words = word_vectors(0, classes, 0.0).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-6)
    shared = np.array(
        [[len(set(attributes(a)) & set(attributes(b))) for b in classes] for a in classes]
    )
    cosine = words @ words.T
    # Independent directions of 300 dimensions are orthogonal to about 1/sqrt(300) = 0.06.
    assert np.abs(cosine - shared / 3).max() < 0.25
    means = [cosine[shared == k].mean() for k in range(4)]
    assert means == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=0.08)
    # Objects, motions and sounds: 6 + 8 + 6 directions at most, however many classes.
    assert np.linalg.matrix_rank(words, tol=1e-4) <= 20


def test_word_noise_sets_classes_apart():
    classes = make_classes(0, ClassCounts())
    plain, noisy = word_vectors(0, classes, 0.0), word_vectors(0, classes, 0.3)
    assert np.linalg.matrix_rank(noisy, tol=1e-4) == len(classes)
    assert (np.einsum("cw,cw->c", plain, noisy) > 0.95).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", 3),
        ("groups", 99),
        ("motions", 9),
        ("seen_per_group", 0),
        ("seen_per_group", 3),
        ("unseen_per_group", 5),
        ("unseen_per_group", 0),
        ("val_groups", 0),
        ("test_groups", 7),
        ("clips_per_class", 8),
        ("val_clips", 0),
    ],
)
def test_impossible_counts_are_named(field, value):
    with pytest.raises(UserError, match=f"^{field} is {value}, expected "):
        replace(ClassCounts(), **{field: value}).check()


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", -1), ("seconds", 0), ("fps", 3), ("size", 15), ("sample_rate", 44100),
     ("home_probability", 1.5), ("bins_per_second", 0), ("event_threshold", float("nan")),
     ("word_noise", float("inf"))],
)  # fmt: skip
def test_impossible_parameters_are_named(field, value):
    with pytest.raises(UserError, match=f"^{field} is {value}, expected "):
        replace(RenderedConfig(), **{field: value}).check()
