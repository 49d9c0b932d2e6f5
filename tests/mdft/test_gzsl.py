"""S, U, HM, ZSL and β against hand-made cases and a plain float64 reading of the protocol.

``protocol`` is written from the text: Euclidean distance of a clip to every candidate, β added
to seen classes, mean per-class recall, HM = 2SU/(S+U); ZSL keeps unseen candidates only. It uses
Python floats for distances and fractions for recalls, clip by clip, without numpy.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mdft.errors import UserError
from mdft.gzsl import BETAS, choose_beta, confusion, predict, scores
from mdft.systems.interface import exact_distances


def euclidean(x, y):
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def nearest(distances, candidates):
    best = candidates[0]
    for c in candidates:
        if distances[c] < distances[best]:
            best = c
    return best


def protocol(clips, words, labels, seen, beta):
    """(S, U, HM, ZSL) as fractions."""
    everyone = list(range(len(words)))
    unseen = [c for c in everyone if not seen[c]]
    right, right_zsl, count = ({c: 0 for c in everyone} for _ in range(3))
    for clip, label in zip(clips, labels, strict=True):
        plain = [euclidean(clip, word) for word in words]
        shifted = [d + beta if seen[c] else d for c, d in enumerate(plain)]
        count[label] += 1
        right[label] += nearest(shifted, everyone) == label
        right_zsl[label] += nearest(plain, unseen) == label
    recall = {c: Fraction(right[c], count[c]) for c in everyone}
    s = sum(recall[c] for c in everyone if seen[c]) / Fraction(sum(seen))
    u = sum(recall[c] for c in unseen) / Fraction(len(unseen))
    zsl = sum(Fraction(right_zsl[c], count[c]) for c in unseen) / Fraction(len(unseen))
    return s, u, (2 * s * u / (s + u) if s + u else Fraction(0)), zsl


@st.composite
def problems(draw, coarse=True):
    """Embeddings of clips and classes, labels, seen; some classes have one clip.

    Coarse embeddings are small integers: distances are often equal, also after β = 1, 2 or 3.
    """
    classes = draw(st.integers(2, 6))
    middle = draw(st.lists(st.booleans(), min_size=classes - 2, max_size=classes - 2))
    seen = draw(st.permutations([True, *middle, False]))
    extra = draw(st.lists(st.integers(0, classes - 1), max_size=20))
    labels = draw(st.permutations([*range(classes), *extra]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def embeddings(n):
        values = rng.integers(-2, 3, (n, 2)) if coarse else rng.normal(size=(n, 2))
        return values.astype(np.float64)

    return embeddings(len(labels)), embeddings(classes), list(labels), list(seen)


def distances_of(clips, words):
    return exact_distances(torch.from_numpy(clips), torch.from_numpy(words))


@given(st.one_of(problems(), problems(coarse=False)), st.sampled_from(BETAS.tolist()))
def test_scores_from_embeddings_equal_the_protocol(problem, beta):
    clips, words, labels, seen = problem
    got = scores(distances_of(clips, words), labels, seen, beta)
    expected = protocol(clips.tolist(), words.tolist(), labels, seen, beta)
    assert (got.seen, got.unseen, got.hm, got.zsl) == tuple(float(x) for x in expected)


@given(problems())
def test_beta_is_the_first_best_of_sixteen_from_0_to_3(problem):
    clips, words, labels, seen = problem
    grid = BETAS.tolist()
    assert grid == pytest.approx([3 * i / 15 for i in range(16)], abs=1e-15)
    assert (grid[0], grid[5], grid[10], grid[-1]) == (0, 1, 2, 3)
    hms = [protocol(clips.tolist(), words.tolist(), labels, seen, b)[2] for b in grid]
    assert choose_beta(distances_of(clips, words), labels, seen) == grid[hms.index(max(hms))]


@pytest.mark.parametrize("wanted", [0, 1, 7, 14, 15])
def test_beta_is_found_at_the_edges_of_the_grid_and_within(wanted):
    # The unseen clip is won from β = grid[wanted] on; the seen clip is lost just after it.
    beta = BETAS[wanted]
    distances = [[0.0, beta + 0.1], [1.0, 1.0 + beta - 0.1 if wanted else 0.9]]
    assert choose_beta(distances, [0, 1], [True, False]) == beta


def test_where_no_beta_helps_the_first_is_chosen():
    distances = [[0.0, 9.0], [0.0, 9.0]]
    assert choose_beta(distances, [0, 1], [True, False]) == 0.0


@given(st.one_of(problems(), problems(coarse=False)), st.floats(-5, 5))
def test_zsl_is_never_below_u(problem, beta):
    clips, words, labels, seen = problem
    got = scores(distances_of(clips, words), labels, seen, beta)
    assert got.zsl >= got.unseen
    assert all(got.zsl_per_class[c] >= got.per_class[c] for c in got.zsl_per_class)


@given(problems(), st.sampled_from(BETAS.tolist()), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_clips(problem, beta, random):
    clips, words, labels, seen = problem
    order = list(range(len(labels)))
    random.shuffle(order)
    distances = distances_of(clips, words)
    mixed = scores(distances[order], np.array(labels)[order], seen, beta)
    assert mixed == scores(distances, labels, seen, beta)


@given(problems(), st.sampled_from(BETAS.tolist()))
def test_the_confusion_holds_every_clip_and_every_recall(problem, beta):
    clips, words, labels, seen = problem
    distances, seen_C = distances_of(clips, words), np.array(seen)
    called, _ = predict(distances, seen_C, beta)
    counts = confusion(called, np.array(labels), len(seen))
    for true in range(len(seen)):
        for found in range(len(seen)):
            pairs = zip(labels, called.tolist(), strict=True)
            assert counts[true, found] == sum(pair == (true, found) for pair in pairs)
    got = scores(distances, labels, seen, beta)
    recall = {c: counts[c, c] / counts[c].sum() for c in range(len(seen))}
    assert got.per_class == pytest.approx(recall)


@given(st.floats(0, 1e-9))
@example(0.0)
def test_the_first_of_equal_distances_wins(gap):
    distances = [[1.0, 1.0 + gap], [1.0, 1.0 + gap]]
    got = scores(distances, [0, 1], [True, False])
    assert (got.seen, got.unseen, got.zsl) == (1.0, 0.0, 1.0)


def test_by_hand():
    # Two seen (0, 1), one unseen (2). Without β clip 2 falls to class 1; with 0.2 it is right.
    distances = [[0.1, 1, 1], [1, 0.5, 0.6], [1, 0.4, 0.5]]
    labels, seen = [0, 1, 2], [True, True, False]
    plain = scores(distances, labels, seen)
    assert (plain.seen, plain.unseen, plain.hm, plain.zsl) == (1.0, 0.0, 0.0, 1.0)
    shifted = scores(distances, labels, seen, beta=0.2)
    assert (shifted.seen, shifted.unseen) == (0.5, 1.0)
    assert shifted.hm == 2 / 3
    assert shifted.per_class == {0: 1.0, 1: 0.0, 2: 1.0}
    assert shifted.zsl_per_class == {2: 1.0}
    assert (plain.beta, shifted.beta) == (0.0, 0.2)
    assert scores(distances, labels, [1, 1, 0], beta=0.2) == shifted  # as a csv would give it


def test_equal_harmonic_means_are_equal_floats():
    """Recalls of 1/10, 2/10 and 3/10 in either order: sums of floats differ, HM does not."""
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1

    def hm(hits):
        labels, distances = [3], [[9, 9, 9, 0]]
        for c, right in enumerate(hits):
            for i in range(10):
                called = c if i < right else 3
                labels.append(c)
                distances.append([0 if d == called else 9 for d in range(4)])
        return scores(distances, labels, [True, True, True, False]).hm

    assert hm([1, 2, 3]) == hm([3, 2, 1]) == float(Fraction(1, 3))


@pytest.mark.parametrize(
    ("distances", "labels", "seen", "beta", "message"),
    [
        ([[0, 1]], [0], [True, False], 0, r"classes \[1\] have no clip"),
        (np.zeros((0, 2)), [], [True, False], 0, r"classes \[0, 1\] have no clip"),
        ([[0, np.nan], [0, 1]], [0, 1], [True, False], 0, "^gzsl: distances contain NaN .*values$"),
        ([[0, 1], [0, 1]], [0, 1], [True, False], math.nan, "beta is nan"),
        ([[0, 1], [0, 1]], [0, 1], [True, True], 0, "^gzsl: candidates are all seen .*kinds$"),
        ([[0, 1], [0, 1]], [0, 1, 1], [True, False], 0, "shape"),
        ([[0, 1], [0, 1], [0, 1]], [0, 1, 2], [True, False], 0, "expected candidate indices"),
    ],
)
def test_what_cannot_be_scored_is_named(distances, labels, seen, beta, message):
    with pytest.raises(UserError, match=message):
        scores(distances, labels, seen, beta)
