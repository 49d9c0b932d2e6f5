"""The neurons of other libraries are set up as ours: at rest they give the same spikes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from benchmarks.snn_peers import snn_peers
from mdft.model.calibrate import calibrate
from mdft.model.motion import MotionBranch

pytestmark = pytest.mark.rounding

LIBRARIES = ["snnTorch", "SpikingJelly", "Norse", "Sinabs"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_peer_gives_the_spikes_of_the_branch(library: str) -> None:
    if find_spec(library.lower()) is None:
        pytest.skip(f"{library} is not installed")
    torch.manual_seed(0)
    branch = MotionBranch(64, 32, 3)
    x_BSF = (torch.rand(4, 20, 64) < 0.2).float()
    current_BS1 = branch.threshold_current(torch.ones(4, 20, 1))
    calibrate(branch, x_BSF, current_BS1, rate=0.1)
    ours = branch(x_BSF, current_BS1)
    (peer,) = (p for name, p in snn_peers(branch, "cpu").items() if name.startswith(library))
    for _ in range(2):  # at rest again
        theirs = peer(x_BSF)
        assert 0.02 < ours.mean() < 0.5
        assert torch.equal(ours, theirs)
    theirs.sum().backward()
