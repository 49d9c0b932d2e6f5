"""Abort training on NaN or Inf before a checkpoint is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mdft.errors import UserError

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
