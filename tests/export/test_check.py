"""`python -m export.check`: its branch fires and its files are those of an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.check import main, tiny_branch

pytestmark = pytest.mark.rounding


def test_the_tiny_branch_fires_and_its_files_agree(tmp_path: Path, capsys):
    branch, drive = tiny_branch()
    for spikes in branch.spikes(drive.x_BSF, threshold_current=drive.current_BSA):
        assert 0.02 < spikes.mean() < 0.5  # else agreement would mean nothing
    assert drive.current_BSA.std() > 0  # the threshold moves
    assert main([str(tmp_path / "out")]) == 0
    assert "0 of 512 spikes differ in nirtorch with snnTorch" in capsys.readouterr().out
    with np.load(tmp_path / "out" / "probe.npz") as probe:
        expected = branch(drive.x_BSF, threshold_current=drive.current_BSA).detach().numpy()
        np.testing.assert_array_equal(probe["visual.spikes.out"], expected)
