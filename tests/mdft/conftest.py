"""A small random data set for every test of the model."""

from __future__ import annotations

import pytest
import torch

from mdft.data.dataset import ClipSet
from tests.mdft.small import random_clips


@pytest.fixture
def clips() -> ClipSet:
    return random_clips()


@pytest.fixture
def ragged_clips() -> ClipSet:
    return random_clips(ragged=True)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
