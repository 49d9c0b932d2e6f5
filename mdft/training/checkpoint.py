"""A trainer's tensors: weights, Adam's moments and the random generators."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mdft.errors import UserError, reason


def capture(model: nn.Module, optimizer: Optimizer, sampler: torch.Generator) -> dict[str, Tensor]:
    """All tensors that the next epoch depends on, under flat names.

    Args:
        model: saved are its weights and buffers.
        optimizer: saved are its per-parameter tensors.
        sampler: the random generator of batches and negatives.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = value
    tensors["rng.sampler"] = sampler.get_state()
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore(
    path: Path,
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: Optimizer,
    sampler: torch.Generator,
) -> None:
    """Undo :func:`capture`, in place.

    Args:
        path: the file that the tensors were read from, for the message.
        tensors: the return value of :func:`capture`.
        model: a model of the same configuration.
        optimizer: the optimizer of its parameters.
        sampler: the random generator of batches and negatives.

    Raises:
        UserError: they are the state of another model, or no state of a trainer.
    """
    try:
        _restore(tensors, model, optimizer, sampler)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: does not fit the model of this run ({reason(error)}); the state may be of "
            "another release: train again with another --out"
        ) from error


def _restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: Optimizer,
    sampler: torch.Generator,
) -> None:
    model.load_state_dict(_under(tensors, "model."))
    saved = optimizer.state_dict()
    saved["state"] = {}
    parameters = dict(enumerate(model.parameters()))
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".")
        parameter = parameters[int(index)]
        if value.ndim and value.shape != parameter.shape:
            raise ValueError(f"{name} has shape {[*value.shape]}, expected {[*parameter.shape]}")
        saved["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(saved)
    sampler.set_state(tensors["rng.sampler"])
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
