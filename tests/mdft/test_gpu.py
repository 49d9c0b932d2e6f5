"""The model on a CUDA device: the same spikes as on the CPU, and a step of training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mdft.data.dataset import ClipSet
from mdft.model import MDFT
from mdft.trainer import Trainer
from tests.mdft.small import small_config, small_model

pytestmark = pytest.mark.gpu


def test_the_motion_branch_gives_the_same_spikes(clips: ClipSet):
    """Sums on the grid are exact in any order, so not one spike may differ."""
    model = MDFT(small_model())
    batch = clips.batch(np.arange(0, len(clips), 2))
    model.calibrate(batch)
    for pathway, given in model.motion_inputs(batch).items():
        branch = model.branch(pathway)
        expected = branch.spikes(given.x_BSD, given.current_BS1)
        branch.cuda()
        found = branch.spikes(given.x_BSD.cuda(), given.current_BS1.cuda())
        branch.cpu()
        for one, other in zip(expected, found, strict=True):
            assert torch.equal(one, other.cpu())


def test_training_runs_on_the_device(clips: ClipSet, tmp_path: Path):
    config = small_config(device="cuda", epochs=1)
    results = Trainer(config, clips, tmp_path, lambda record: None).run()
    assert 0 <= results.hm <= 1
