"""Training stops where its numbers end, before anything of it is saved."""

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
        terms: name → scalar.
        names: of the batch's clips.

    Raises:
        UserError: names the terms that are not finite, and the clips.
    """
    found = [f"{name} {value.item()}" for name, value in terms.items() if not _finite(value)]
    if found:
        distinct = list(dict.fromkeys(names))
        more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
        raise UserError(
            f"{where}: the loss is not finite ({', '.join(found)}) on the clips "
            f"{', '.join(distinct[:_NAMED])}{more}; mend their features and go on "
            "from the last whole epoch with --resume, or begin anew with a lower learning rate"
        )


def check_finite_weights(where: str, model: nn.Module) -> None:
    """Check that all parameters and buffers are finite, before they are saved.

    Raises:
        UserError: names the first one that is not.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not _finite(value):
            raise UserError(
                f"{where}: {name} is not finite after the last step; nothing of this epoch "
                "is kept; begin anew with a lower learning rate"
            )


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
