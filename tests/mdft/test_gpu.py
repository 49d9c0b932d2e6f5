"""The model on a CUDA device: the same spikes as on the CPU, and a step of training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.model.mdft import MDFT
from mdft.training.trainer import Trainer
from tests.mdft.small import small_config, small_model

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["highest", "high"])
def matmul_precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """``high`` is TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


def test_the_motion_branch_gives_the_same_spikes(clips: ClipSet, matmul_precision: str):
    """Products of 8 bits and sums on the grid are exact, in TF32 too: not one spike may differ."""
    model = MDFT(small_model())
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    for pathway, given in model.motion_inputs(batch).items():
        branch = model.branch(pathway)
        expected = branch.spikes(given.x_BSD, threshold_current=given.current_BS1)
        branch.cuda()
        found = branch.spikes(given.x_BSD.cuda(), threshold_current=given.current_BS1.cuda())
        branch.cpu()
        for one, other in zip(expected, found, strict=True):
            assert torch.equal(one, other.cpu())


@pytest.mark.parametrize("motion", [True, False])
def test_training_runs_on_the_device(clips: ClipSet, tmp_path: Path, motion: bool):
    model = small_model(motion=MotionConfig(enabled=motion))
    config = small_config(device="cuda", epochs=1, model=model)
    results = Trainer(config, clips, tmp_path, lambda record: None).run()
    assert 0 <= results.hm <= 1
