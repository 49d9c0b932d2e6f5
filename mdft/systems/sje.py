"""SJE: Akata et al., Evaluation of Output Embeddings, CVPR 2015."""

from __future__ import annotations

from mdft.systems.compatibility import Compatibility
from mdft.systems.interface import Lesson, Loss, summed


class SJE(Compatibility):
    """Structured joint embedding: the most violating class alone counts."""

    def loss(self, lesson: Lesson) -> Loss:
        """``max_y [γ + F(x, y) − F(x, y_x)]₊``, mean over the batch."""
        return summed({"hinge": self.hinges(lesson).amax(1).mean()})
