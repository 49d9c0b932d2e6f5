"""Training steps (loss, gradient, update) in one process or several; they abort on NaN or Inf."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from mdft.config.train import ComputeConfig
from mdft.distributed.world import world
from mdft.errors import UserError
from mdft.model.health import FiringStatistics
from mdft.systems.interface import Loss, Spikes, System, TrainingBatch
from mdft.training.batches import TrainingBatches
from mdft.training.compute import dense_precision

LossOf = Callable[[TrainingBatch], Loss]


class EpochLoop:
    """Runs the training steps of a stage, one epoch per call.

    Args:
        model: the system, calibrated or restored.
        optimizer: the optimizer of its parameters.
        batches: the batches of the stage.
        compute: the precision of the dense part.
    """

    def __init__(
        self, model: System, optimizer: Optimizer, batches: TrainingBatches, compute: ComputeConfig
    ) -> None:
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.compute = compute
        self.loss_of = shared_loss(model)

    def epoch(
        self, where: str, report: Callable[[int], None]
    ) -> tuple[dict[str, float], FiringStatistics]:
        """Train for one epoch.

        Args:
            where: run, stage and epoch, for messages.
            report: called after each step with its number, counted from 1.

        Returns:
            The mean of each loss term, and the firing statistics.

        Raises:
            UserError: a loss term is not finite.
        """
        self.model.train()
        loss: dict[str, float] = {}
        firing = FiringStatistics()
        if not self.model.descends:
            return loss, firing
        batches = self.batches.epoch(negatives=self.model.needs_negatives)
        for step, (indices, batch) in enumerate(batches, start=1):
            taken = self._step(where, indices, batch)
            firing.add(taken.spikes.layers, taken.spikes.mask_BT)
            for name, value in taken.terms.items():
                loss[name] = loss.get(name, 0.0) + value.item() / self.batches.steps
            report(step)
        return loss, firing

    def _step(self, where: str, indices: np.ndarray, batch: TrainingBatch) -> Loss:
        with dense_precision(self.compute, self.batches.device):
            loss = self.loss_of(batch)
        check_finite(where, loss.terms, [self.batches.clips.names[int(i)] for i in indices])
        self.optimizer.zero_grad(set_to_none=True)
        loss.terms["total"].backward()
        self.optimizer.step()
        return loss


class _Loss(nn.Module):
    """A system's loss as a forward pass that returns dictionaries of tensors, as DDP expects."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, batch: TrainingBatch) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        loss = self.system.loss(batch)
        spikes = {name: [s.detach() for s in layers] for name, layers in loss.spikes.layers.items()}
        return loss.terms, spikes


def shared_loss(system: System) -> LossOf:
    """The loss function of training steps that all processes share.

    Loss and gradients are those of the batch over all processes, and equal in every process.

    Args:
        system: the system, calibrated or restored; its weights become those of the first process.
    """
    if world().size == 1:
        return system.loss
    system.share()
    # Buffers need no broadcast, since all processes compute the same ones. A switch may leave
    # parameters unused, the same ones in every step.
    with warnings.catch_warnings():
        # torch 2.14 deprecates this name; 2.6 does not have the new one.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        parallel = DistributedDataParallel(
            _Loss(system), broadcast_buffers=False, static_graph=True
        )

    def loss(batch: TrainingBatch) -> Loss:
        terms, layers = parallel(batch)
        return Loss(terms, Spikes(layers, batch.clips.mask_BT))

    return loss


_NAMED = 8


def check_finite(where: str, terms: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Check that every term of a batch's loss is finite, before it changes the weights.

    Args:
        where: run, stage and epoch, for the message.
        terms: name → scalar loss term.
        names: names of the batch's clips.

    Raises:
        UserError: a term is not finite; the message names it and the clips.
    """
    found = [f"{name} {value.item()}" for name, value in terms.items() if not _finite(value)]
    if found:
        distinct = list(dict.fromkeys(names))
        more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
        raise UserError(
            f"{where}: the loss is not finite ({', '.join(found)}) on the clips "
            f"{', '.join(distinct[:_NAMED])}{more}; fix their features and continue "
            "from the last finished epoch with --resume, or start again with a lower learning rate"
        )


def check_finite_weights(where: str, model: nn.Module) -> None:
    """Check that all parameters and buffers are finite, before they are saved.

    Raises:
        UserError: one is not finite; the message names the first.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not _finite(value):
            raise UserError(
                f"{where}: {name} is not finite after the last step; this epoch is not "
                "saved; start again with a lower learning rate"
            )


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
