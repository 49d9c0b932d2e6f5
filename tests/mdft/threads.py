"""``python -m tests.mdft.threads``: how far training on two threads strays from training on one.

Prints the table of docs/reliability.md: a model of 512 neurons a layer, 32 clips of random
features and events, Adam at 1e-3, dropout off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from mdft.systems.build import OURS, build
from tests.mdft import small
from tests.mdft.small_baselines import system_config, taught, training_batch_of

STEPS = (0, 1, 10, 100)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of PyTorch meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained(steps: int, width: int) -> tuple[Tensor, float, Tensor]:
    """After so many steps from seed 0: all weights, the last loss, all spikes of the batch.

    In the default dtype.
    """
    torch.manual_seed(0)
    with mock.patch.object(small, "D", width):
        clips = small.random_clips(ragged=True)
        if torch.get_default_dtype() == torch.float64:
            clips = small.in_double(clips)
        batch = training_batch_of(clips, np.arange(0, 64, 2))
        system = build(system_config(OURS))
        curve = taught(system, batch, steps, rate=1e-3)
    system.eval()
    with torch.no_grad():
        layers = system.embed_clips(batch.clips).spikes.layers
    weights = torch.cat([p.detach().flatten() for p in system.parameters()])
    spikes = torch.cat([x.flatten() for pathway in layers.values() for x in pathway])
    return weights, curve[-1]["total"] if curve else float("nan"), spikes


def strayed(steps: int, width: int) -> tuple[float, float, float]:
    """Two threads against one: ‖Δw‖/‖w‖, relative difference of the loss, share of spikes."""
    with threads(1):
        w1, loss1, spikes1 = trained(steps, width)
    with threads(2):
        w2, loss2, spikes2 = trained(steps, width)
    changed = (spikes1 != spikes2).double().mean().item()
    return ((w1 - w2).norm() / w1.norm()).item(), abs(loss1 - loss2) / loss1, changed


if __name__ == "__main__":
    print("| steps | weights, ‖Δw‖/‖w‖ | loss | spikes that differ |\n|---|---|---|---|")
    for steps in STEPS:
        weights, loss, changed = strayed(steps, 512)
        print(f"| {steps} | {weights:.1e} | {loss:.1e} | {changed:.2%} |")
