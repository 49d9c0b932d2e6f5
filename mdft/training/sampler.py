"""Class-balanced batches, and negatives of another class, drawn on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from mdft.errors import UserError


class BalancedSampler:
    """Draws clips so that each class is equally likely, and each clip within its class.

    A draw takes O(batch) time for any number of clips; a class may have a single clip.

    Args:
        labels_N: class index of each clip of the training split, on the device to draw on.
    """

    def __init__(self, labels_N: Tensor) -> None:
        self.order_N = torch.argsort(labels_N, stable=True)
        _, self.count_C = torch.unique(labels_N, return_counts=True)
        self.first_C = self.count_C.cumsum(0) - self.count_C

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Draw ``size`` positions in the split, int64, from at least two classes.

        Args:
            size: clips to draw, with replacement; at least 2.
            generator: on the device of the labels.

        Raises:
            UserError: the split has only one class.
        """
        assert size > 1, size
        classes, device = len(self.count_C), self.count_C.device
        if classes < 2:
            raise UserError("training split has only one class, expected at least two")
        while True:  # repeat if a small batch has only one class and so no negatives
            class_B = torch.randint(classes, (size,), generator=generator, device=device)
            if (class_B != class_B[0]).any():
                break
        # float64: float32 could round up to the first clip of the next class.
        share_B = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        within_B = (share_B * self.count_C[class_B]).long()
        return self.order_N[self.first_C[class_B] + within_B]


def draw_negatives(labels_B: Tensor, generator: torch.Generator) -> Tensor:
    """Draw uniformly, for each clip of a batch, the index of a clip of another class.

    Args:
        labels_B: class indices.
        generator: on the device of the labels.

    Returns:
        (B,) int64.

    Raises:
        UserError: the batch has only one class.
    """
    other_BB = labels_B[:, None] != labels_B[None, :]
    if not other_BB.any(dim=1).all():
        raise UserError(
            f"batch of {len(labels_B)} clips has only one class, expected at least two: "
            "raise the batch size"
        )
    return torch.multinomial(other_BB.float(), 1, generator=generator)[:, 0]
