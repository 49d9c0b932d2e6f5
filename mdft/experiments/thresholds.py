"""Does the moving threshold of eq. (7) tell a trained model anything?

A trained model is scored on the validation classes with its threshold θ(t), and with thresholds
that no longer know the clip: their mean, another clip's, or those of the same clip in another
order. If the scores stay, what θ follows is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdft import gzsl
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import STAGES
from mdft.gzsl import Scores
from mdft.model.mdft import Output
from mdft.systems.mdft import MDFTSystem
from mdft.training.evaluation import score_split

#: The changes, in the order of the table.
CHANGES = ("none", "mean", "clips", "seconds")
TITLES = {
    "none": "as it is",
    "mean": "its mean over clips and seconds",
    "clips": "that of another clip",
    "seconds": "the seconds of a clip in another order",
}


@dataclass
class ChangedThreshold:
    """The forward pass of a model with another threshold.

    Attributes:
        model: the model, in eval mode, with a spiking network and one θ for all neurons.
        change: a key of ``TITLES``.
        generator: of the orders that are drawn.
        spikes: number of spikes so far.
        differing: number of spikes and silences that the change has turned into the other.
    """

    model: MDFTSystem
    change: str
    generator: torch.Generator
    spikes: int = 0
    differing: int = 0

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        """Figure 2 with the changed thresholds."""
        model, layers = self.model, {}
        for pathway, given in model.motion_inputs(batch).items():
            branch = model.branch(pathway)
            theta_BT1 = self.changed(given.theta_BT1)
            steps = given.x_BSD.shape[1] // theta_BT1.shape[1]
            theta_BS1 = theta_BT1.repeat_interleave(steps, dim=1)
            before = branch.spikes(given.x_BSD, threshold_current=given.current_BS1)
            layers[pathway] = branch.spikes(given.x_BSD, theta=theta_BS1)
            self.spikes += sum(int(x.sum()) for x in before)
            pairs = zip(before, layers[pathway], strict=True)
            self.differing += sum(int((a != b).sum()) for a, b in pairs)
        o_av_BE = model.reason(model.semantics(batch), layers, batch.mask_BT)
        return Output(o_av_BE, model.reconstruct(o_av_BE), layers)

    def changed(self, theta_BT1: Tensor) -> Tensor:
        """The thresholds of a batch after the change."""
        B, T, _ = theta_BT1.shape
        if self.change == "mean":
            return theta_BT1.mean().expand(B, T, 1)
        if self.change == "clips":
            return theta_BT1[torch.randperm(B, generator=self.generator)]
        if self.change == "seconds":
            order_BT1 = torch.rand(B, T, 1, generator=self.generator).argsort(1)
            return theta_BT1.gather(1, order_BT1)
        return theta_BT1


def with_changes(model: MDFTSystem, clips: ClipSet) -> dict[str, tuple[Scores, float]]:
    """Change → validation scores, and the spikes it changes relative to all spikes.

    All clips are one batch, over which means are taken and clips exchanged.

    Args:
        model: a model of stage 1, with one threshold for all neurons.
        clips: clips of one length.
    """
    stage, found = STAGES[0], {}
    size = sum(len(clips.splits[name]) for name in (stage.seen, stage.unseen))
    for change in CHANGES:
        forward = ChangedThreshold(model, change, torch.Generator().manual_seed(0))
        split = score_split(model, clips, stage.seen, stage.unseen, size, forward)
        beta = gzsl.choose_beta(split.distances, split.labels, split.seen)
        scores = gzsl.scores(split.distances, split.labels, split.seen, beta)
        found[change] = scores, forward.differing / forward.spikes
    return found
