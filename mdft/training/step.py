"""Training steps: loss, gradient, update; of one process or several."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from mdft.config.train import ComputeConfig
from mdft.distributed.world import world
from mdft.model.health import FiringStatistics
from mdft.systems.interface import Lesson, Loss, Spikes, System
from mdft.training.batches import Lessons
from mdft.training.compute import dense_precision
from mdft.training.finite import check_finite

LossOf = Callable[[Lesson], Loss]


class Learner:
    """A system that learns the lessons of a stage.

    Args:
        model: calibrated or restored.
        optimizer: of its parameters.
        lessons: what it learns.
        compute: precision of its dense part.
    """

    def __init__(
        self, model: System, optimizer: Optimizer, lessons: Lessons, compute: ComputeConfig
    ) -> None:
        self.model, self.optimizer, self.lessons = model, optimizer, lessons
        self.compute = compute
        self.loss_of = shared_loss(model)

    def epoch(
        self, where: str, report: Callable[[int], None]
    ) -> tuple[dict[str, float], FiringStatistics]:
        """One epoch.

        Args:
            where: run, stage and epoch, for messages.
            report: called with the number of each step, from 1, when it is done.

        Returns:
            The mean of each term of the loss, and what spiked.

        Raises:
            UserError: a loss is not finite.
        """
        self.model.train()
        loss: dict[str, float] = {}
        firing = FiringStatistics()
        taught = self.lessons.epoch(negatives=self.model.needs_negatives)
        for step, (indices, lesson) in enumerate(taught, start=1):
            taken = self._step(where, indices, lesson)
            firing.add(taken.spikes.layers, taken.spikes.mask_BT)
            for name, value in taken.terms.items():
                loss[name] = loss.get(name, 0.0) + value.item() / self.lessons.steps
            report(step)
        return loss, firing

    def _step(self, where: str, indices: np.ndarray, lesson: Lesson) -> Loss:
        with dense_precision(self.compute, self.lessons.device):
            loss = self.loss_of(lesson)
        check_finite(where, loss.terms, [self.lessons.clips.names[int(i)] for i in indices])
        self.optimizer.zero_grad(set_to_none=True)
        loss.terms["total"].backward()
        self.optimizer.step()
        return loss


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
