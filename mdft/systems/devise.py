"""DeViSE: Frome et al., A Deep Visual-Semantic Embedding Model, NeurIPS 2013."""

from __future__ import annotations

from mdft.systems.compatibility import Compatibility
from mdft.systems.interface import Loss, TrainingBatch, summed


class DeViSE(Compatibility):
    """Deep visual-semantic embedding: the loss sums over all violating classes."""

    def loss(self, batch: TrainingBatch) -> Loss:
        """``Σ_y [γ + F(x, y) − F(x, y_x)]₊``, mean over the batch."""
        return summed({"hinge": self.hinges(batch).sum(1).mean()})
