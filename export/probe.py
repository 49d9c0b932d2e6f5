"""probe.npz: what each graph is given on real clips, and every spike it gave in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from export.graph import CURRENT, EVENTS, input_grids
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.motion import MotionBranch

TEST_SPLITS = ("test_unseen", "test_seen")


def pick_samples(clips: ClipSet, count: int) -> np.ndarray:
    """Clip indices, evenly from both test splits and evenly through each.

    Raises:
        UserError: fewer than one sample asked for, or more than there are.
    """
    available = [len(clips.splits[name]) for name in TEST_SPLITS]
    if not 1 <= count <= sum(available):
        raise UserError(f"--samples is {count}, expected 1 to {sum(available)} test clips")
    first = min(available[0], max((count + 1) // 2, count - available[1]))
    picked = [
        clips.splits[name][np.linspace(0, len(clips.splits[name]) - 1, n).round().astype(int)]
        for name, n in zip(TEST_SPLITS, (first, count - first), strict=True)
        if n
    ]
    return np.concatenate(picked)


@torch.no_grad()
def probe_arrays(
    pathway: str, branch: MotionBranch, x_BSF: Tensor, current_BS1: Tensor
) -> dict[str, np.ndarray]:
    """The probe's keys of one pathway p, float32.

    `p.in.events` (B,S,F), `p.in.threshold_current` (B,S,1), `p.spikes.lif_i` and
    `p.membrane.lif_i` (B,S,N, before the reset), `p.spikes.out` (B,S,N), and
    `p.grid.<input>`, the power of two that the input's values are multiples of.

    Raises:
        UserError: an input off its grid.
    """
    arrays = {f"in.{EVENTS}": x_BSF, f"in.{CURRENT}": current_BS1}
    layers = branch.trace(x_BSF, current_BS1)
    for i, (spikes_BSN, membrane_BSN) in enumerate(layers, start=1):
        arrays |= {f"spikes.lif_{i}": spikes_BSN, f"membrane.lif_{i}": membrane_BSN}
    arrays["spikes.out"] = layers[-1][0]
    found = {f"{pathway}.{k}": v.cpu().numpy().astype(np.float32) for k, v in arrays.items()}
    for name, grid in input_grids(branch).items():
        values = found[f"{pathway}.in.{name}"] / grid
        if (values != np.round(values)).any():
            raise UserError(f"{pathway}: {name} is off its grid of {grid:g}, expected multiples")
        found[f"{pathway}.grid.{name}"] = np.array(grid, np.float32)
    return found
