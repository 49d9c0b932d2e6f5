"""What the training steps of a stage learn from, and how several processes share a step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mdft.baselines.interface import Lesson, Loss, Spikes, System
from mdft.data.dataset import Batch, ClipSet
from mdft.parallel import world
from mdft.protocol import Stage
from mdft.sampler import BalancedSampler, draw_negatives

LossOf = Callable[[Lesson], Loss]


class Lessons:
    """Draws the lessons of a stage: class-balanced batches, and negatives.

    Every process draws the same clips, and reads its share of them.

    Args:
        clips: the data set.
        stage: whose training split it is.
        batch_size: clips a lesson, of all processes together; fewer if the split has fewer.
        generator: of every draw; its device is that of the lessons.
    """

    def __init__(
        self, clips: ClipSet, stage: Stage, batch_size: int, generator: torch.Generator
    ) -> None:
        self.clips, self.stage, self.generator = clips, stage, generator
        self.device = generator.device
        self.indices = clips.splits[stage.train]
        self.size = min(batch_size, len(self.indices))
        #: Lessons of an epoch.
        self.steps = math.ceil(len(self.indices) / batch_size)
        self.sampler = BalancedSampler(self._labels(self.indices))
        classes = clips.classes_of(stage.train)
        self.classes_C = torch.from_numpy(classes).to(self.device)
        self.words_CW = torch.tensor(clips.words_CW[classes], device=self.device)

    def draw(self) -> np.ndarray:
        """The indices of a lesson's clips."""
        return self.indices[self.sampler.draw(self.size, self.generator).numpy(force=True)]

    def whole(self) -> Batch:
        """A drawn batch, whole in every process."""
        return self.clips.batch(self.draw()).to(self.device)

    def lesson(self, *, negatives: bool) -> tuple[np.ndarray, Lesson]:
        """The indices of a lesson's clips, of all processes, and the lesson.

        Args:
            negatives: whether to draw a negative for each clip.
        """
        chosen = self.draw()
        share = chosen[world().rows(len(chosen))]
        # As long in all processes: backward passes that exchange must be the same graph.
        seconds = int(self.clips.seconds_N[chosen].max())
        batch = self.clips.batch(share, seconds=seconds).to(self.device)
        labels_B = self._labels(chosen)
        other = draw_negatives(labels_B, self.generator) if negatives else None
        targets_B = torch.searchsorted(self.classes_C, labels_B)
        return chosen, Lesson(batch, self.words_CW, targets_B, other)

    def _labels(self, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(self.clips.labels_N[indices]).to(self.device)


class _Loss(nn.Module):
    """A system's loss as a forward pass, whose output DistributedDataParallel can look through."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, lesson: Lesson) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        loss = self.system.loss(lesson)
        spikes = {name: [s.detach() for s in layers] for name, layers in loss.spikes.layers.items()}
        return loss.terms, spikes


def shared_loss(system: System) -> LossOf:
    """A system's loss of a step that all processes share; in one process, its loss.

    Loss and gradients are those of the joint batch, the same in every process.

    Args:
        system: calibrated or restored; its weights become those of the first process.
    """
    if world().size == 1:
        return system.loss
    system.share()
    # Buffers need no broadcast, being computed alike; a switch may leave parameters unused, the
    # same ones in every step.
    with warnings.catch_warnings():
        # torch 2.14 deprecates the name for one that 2.6 does not know.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        parallel = DistributedDataParallel(
            _Loss(system), broadcast_buffers=False, static_graph=True
        )

    def loss(lesson: Lesson) -> Loss:
        terms, layers = parallel(lesson)
        return Loss(terms, Spikes(layers, lesson.batch.mask_BT))

    return loss
