"""MDFT behind the interface of the baselines."""

from __future__ import annotations

from mdft.baselines.interface import Embedded, Lesson, Loss, Spikes, System, joint
from mdft.config import LossConfig, ModelConfig
from mdft.data.dataset import Batch
from mdft.health import firing_rates
from mdft.losses import total_loss
from mdft.model import MDFT, Output


class MDFTSystem(MDFT, System):
    """The model of the paper with its losses, eqs. (13) to (15).

    Args:
        config: the architecture and its switches.
        loss: which terms, and γ.
    """

    def __init__(self, config: ModelConfig, loss: LossConfig) -> None:
        super().__init__(config)
        self.loss_config = loss

    def embed_clips(self, batch: Batch) -> Embedded:
        """``O_av`` (B,1,E), eq. (12)."""
        return embedded(self(batch), batch)

    def loss(self, lesson: Lesson) -> Loss:
        """``L_n + L_p + L_r`` and the bound on firing rates."""
        assert lesson.negatives_B is not None
        output = self(lesson.batch)
        mask_BT = lesson.batch.mask_BT
        terms = total_loss(
            output.o_av_BE,
            output.reconstructed_BW,
            self.embed_words(lesson.words_CW),
            lesson.words_CW,
            lesson.targets_B,
            lesson.negatives_B,
            firing_rates(output.spikes, mask_BT).values(),
            self.loss_config,
        )
        return Loss(terms, Spikes(output.spikes, mask_BT))


def embedded(output: Output, batch: Batch) -> Embedded:
    """What the model says of a batch, as the harness takes it."""
    return joint(output.o_av_BE, Spikes(output.spikes, batch.mask_BT))
