"""What does not depend on the number of threads: the motion branch, a score, one step nearly."""

from __future__ import annotations

import pytest
import torch

from mdft.systems.build import OURS, build
from mdft.training.evaluation import results_of, score_split
from tests.export.branches import firing_branch, random_drive
from tests.mdft.small import float64, in_double, random_clips
from tests.mdft.small_baselines import system_config
from tests.mdft.threads import strayed, threads, trained

pytestmark = pytest.mark.rounding


def test_the_motion_branch_gives_the_same_bits_on_any_number_of_threads():
    """Wide and long enough that PyTorch shares out the products."""
    branch = firing_branch(0, features=512, neurons=512)
    x_BSF, current_BS1 = random_drive(branch, 1, batch=32, steps=24)
    found = []
    for count in (1, 2, 3):
        with threads(count), torch.no_grad():
            found.append(branch.trace(x_BSF, threshold_current=current_BS1))
    for several in found[1:]:
        for (s1, u1), (s2, u2) in zip(found[0], several, strict=True):
            assert 0.01 < s1.mean() < 0.6
            assert torch.equal(s1, s2) and torch.equal(u1, u2)


def test_scores_are_the_same_on_two_threads():
    """In float64: in float32 a threshold may move by a step of its grid."""
    torch.manual_seed(0)
    clips, scored = in_double(random_clips()), []
    with float64():
        model = build(system_config(OURS))
    for count in (1, 2):
        with threads(count):
            split = score_split(model, clips, "test_seen", "test_unseen", 24)
            scored.append(results_of(split, beta=0.4, epoch=0, seed=0, seconds=0))
    assert scored[0] == scored[1]


@pytest.mark.slow
def test_one_seed_is_one_training_on_either_number_of_threads():
    for count in (1, 2):
        with threads(count):
            w1, loss1, spikes1 = trained(2, 32)
            w2, loss2, spikes2 = trained(2, 32)
        assert torch.equal(w1, w2) and loss1 == loss2 and torch.equal(spikes1, spikes2)


def test_two_threads_stray_from_one_by_rounding_only():
    """Of float64; what rounding of float32 comes to is measured, by ``tests.mdft.threads``."""
    with float64():
        weights, loss, spikes = strayed(2, 32)
    assert weights < 1e-9 and loss < 1e-9 and spikes == 0
