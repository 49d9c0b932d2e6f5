"""SJE: Akata et al., Evaluation of Output Embeddings, CVPR 2015."""

from __future__ import annotations

from mdft.systems.compatibility import Compatibility
from mdft.systems.interface import Loss, TrainingBatch, summed


class SJE(Compatibility):
    """Structured joint embedding: the loss uses only the most violating class."""

    def loss(self, batch: TrainingBatch) -> Loss:
        """``max_y [γ + F(x, y) − F(x, y_x)]₊``, mean over the batch."""
        return summed({"hinge": self.hinges(batch).amax(1).mean()})
