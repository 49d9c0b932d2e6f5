"""A small random data set for every test of the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mdft.data.dataset import ClipSet
from mdft.training.trainer import Trainer
from tests.conftest import MadeOnce
from tests.mdft.small import random_clips, small_config


@pytest.fixture
def clips() -> ClipSet:
    return random_clips()


@pytest.fixture
def ragged_clips() -> ClipSet:
    return random_clips(ragged=True)


@pytest.fixture(scope="session")
def whole(made_once: MadeOnce) -> Path:
    """The run of ``small_config()`` on the clips of ``clips``; not to be changed."""

    def make(folder: Path) -> None:
        Trainer(small_config(), random_clips(), folder, lambda record: None).run()

    return made_once("small_run", make)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def lif_device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default device of new tensors; its type names the kernels of the LIF."""
    with torch.device(request.param):
        yield request.param
