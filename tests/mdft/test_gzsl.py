"""S, U, HM, ZSL and β against hand-made cases and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdft.gzsl import BETAS, choose_beta, scores


def loops(distances, labels, seen, beta):
    """The text of the protocol, clip by clip, in plain Python."""
    hits, zsl_hits, count = {}, {}, {}
    for row, label in zip(distances.tolist(), labels.tolist(), strict=True):
        calibrated = [d + beta * bool(s) for d, s in zip(row, seen, strict=True)]
        predicted = calibrated.index(min(calibrated))
        unseen = [c for c in range(len(seen)) if not seen[c]]
        among_unseen = min(unseen, key=lambda c: (row[c], c))
        count[label] = count.get(label, 0) + 1
        hits[label] = hits.get(label, 0) + (predicted == label)
        zsl_hits[label] = zsl_hits.get(label, 0) + (among_unseen == label)
    recall = {c: hits[c] / count[c] for c in count}
    s = np.mean([recall[c] for c in count if seen[c]])
    u = np.mean([recall[c] for c in count if not seen[c]])
    zsl = np.mean([zsl_hits[c] / count[c] for c in count if not seen[c]])
    return s, u, 0.0 if s + u == 0 else 2 * s * u / (s + u), zsl


@st.composite
def problems(draw):
    classes = draw(st.integers(2, 6))
    seen = np.array(
        [True, *draw(st.lists(st.booleans(), min_size=classes - 2, max_size=classes - 2)), False]
    )
    extra = draw(st.lists(st.integers(0, classes - 1), max_size=20))
    labels = np.array([*range(classes), *extra])
    # Few distinct values, so that ties are common.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, 6, (len(labels), classes)) * 0.2, labels, seen


@given(problems(), st.sampled_from(BETAS.tolist()))
def test_scores_equal_plain_loops(problem, beta):
    distances, labels, seen = problem
    got = scores(distances, labels, seen, beta)
    expected = loops(distances, labels, seen, beta)
    assert (got.seen, got.unseen, got.hm, got.zsl) == pytest.approx(expected)


@given(problems(), st.floats(0, 3))
def test_zsl_is_never_below_u(problem, beta):
    got = scores(problem[0], problem[1], problem[2], beta)
    assert got.zsl >= got.unseen


@given(problems())
def test_beta_is_the_first_best_of_the_grid(problem):
    hms = [loops(problem[0], problem[1], problem[2], beta)[2] for beta in BETAS]
    assert (
        choose_beta(problem[0], problem[1], problem[2])
        == BETAS[max(range(16), key=lambda i: (round(hms[i], 12), -i))]
    )


def test_by_hand():
    # Two seen (0, 1), one unseen (2). Without β clip 2 falls to class 1; with 0.2 it is right.
    distances = [[0.1, 1, 1], [1, 0.5, 0.6], [1, 0.4, 0.5]]
    labels, seen = [0, 1, 2], [True, True, False]
    plain = scores(distances, labels, seen)
    assert (plain.seen, plain.unseen, plain.hm, plain.zsl) == (1.0, 0.0, 0.0, 1.0)
    shifted = scores(distances, labels, seen, beta=0.2)
    assert (shifted.seen, shifted.unseen) == (0.5, 1.0)
    assert shifted.hm == pytest.approx(2 / 3)
    assert shifted.per_class == {0: 1.0, 1: 0.0, 2: 1.0}
    assert list(BETAS) == pytest.approx([0.2 * i for i in range(16)])


@pytest.mark.parametrize(
    ("distances", "labels", "seen", "message"),
    [
        ([[0, 1]], [0], [True, False], r"classes \[1\] have no clip"),
        ([[0, np.nan], [0, 1]], [0, 1], [True, False], "NaN"),
        ([[0, 1], [0, 1]], [0, 1], [True, True], "all seen or all unseen"),
        ([[0, 1], [0, 1]], [0, 1, 1], [True, False], "shape"),
        ([[0, 1], [0, 1], [0, 1]], [0, 1, 2], [True, False], "no candidate"),
    ],
)
def test_what_cannot_be_scored_is_named(distances, labels, seen, message):
    with pytest.raises(ValueError, match=message):
        scores(distances, labels, seen)
