"""Batches: every class equally likely, every clip of a class too."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mdft.errors import UserError
from mdft.training.sampler import BalancedSampler, draw_negatives


def test_every_class_and_every_clip_of_a_class_is_equally_likely():
    labels = torch.tensor([7, 3, 7, 7, 3, 9])  # 3 clips, 2 clips, 1 clip
    generator = torch.Generator().manual_seed(0)
    drawn = BalancedSampler(labels).draw(60_000, generator).numpy()
    share = np.bincount(drawn, minlength=6) / len(drawn)
    # Deviations of at most √(1/3 · 2/3 / 60,000) = 0.0019: five of them.
    np.testing.assert_allclose(share, [1 / 9, 1 / 6, 1 / 9, 1 / 9, 1 / 6, 1 / 3], atol=0.01)


def test_a_batch_always_holds_two_classes():
    labels = torch.tensor([0, 0, 0, 1])
    sampler, generator = BalancedSampler(labels), torch.Generator().manual_seed(0)
    for _ in range(100):
        assert len(set(labels[sampler.draw(2, generator)].tolist())) == 2


def test_the_same_generator_draws_the_same_clips():
    sampler = BalancedSampler(torch.arange(50) // 3)
    first, again = (sampler.draw(40, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)


def test_one_class_is_refused():
    with pytest.raises(UserError, match="only one class"):
        BalancedSampler(torch.tensor([5, 5])).draw(2, torch.Generator())


@given(st.lists(st.integers(-3, 9), min_size=2, max_size=40).filter(lambda x: len(set(x)) > 1))
def test_negatives_are_of_another_class(labels: list[int]):
    labels_B = torch.tensor(labels)
    for seed in range(5):
        other_B = draw_negatives(labels_B, torch.Generator().manual_seed(seed))
        assert (labels_B[other_B] != labels_B).all()


def test_every_negative_is_equally_likely():
    labels_B = torch.tensor([4, 0, 4, 2, 0, 4])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_negatives(labels_B, generator) for _ in range(20_000)]).numpy()
    for i, label in enumerate(labels_B):
        expected = (labels_B != label).double()
        share = np.bincount(drawn[:, i], minlength=6) / len(drawn)
        # A deviation is at most √(1/4 / 20,000) = 0.0035.
        np.testing.assert_allclose(share, expected / expected.sum(), atol=0.015)
