"""MDFT behind the interface of the baselines."""

from __future__ import annotations

from torch import nn

from mdft.config.model import LossConfig, ModelConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import Stage
from mdft.distributed.joint_layers import join_rows
from mdft.distributed.world import gather, joint_mean
from mdft.model.health import firing_rates
from mdft.model.losses import total_loss
from mdft.model.mdft import MDFT, Output
from mdft.systems.blocks import of_clips
from mdft.systems.interface import Embedded, Loss, Spikes, System, TrainingBatch, joint


class MDFTSystem(MDFT, System):
    """The model of the paper with its losses, eqs. (13) to (15).

    Args:
        config: the architecture and its switches.
        loss: which loss terms are enabled, and γ.
    """

    def __init__(self, config: ModelConfig, loss: LossConfig) -> None:
        super().__init__(config)
        self.loss_config = loss

    def embed_clips(self, batch: Batch) -> Embedded:
        """``O_av`` (B,1,E), eq. (12)."""
        return embedded(self(batch), batch)

    def loss(self, batch: TrainingBatch) -> Loss:
        """``L_n + L_p + L_r`` and the penalty on firing rates."""
        assert batch.negatives_B is not None
        output = self(batch.clips)
        mask_BT, B = batch.clips.mask_BT, len(batch.targets_B)
        rates = list(firing_rates(output.spikes, mask_BT).values())
        terms = total_loss(
            gather(output.o_av_BE, B),
            gather(output.reconstructed_BW, B),
            self.embed_words(batch.words_CW),
            batch.words_CW,
            batch.targets_B,
            batch.negatives_B,
            joint_mean(rates, mask_BT.sum()),
            self.loss_config,
        )
        return Loss(terms, Spikes(output.spikes, mask_BT))

    def fit(self, clips: ClipSet, stage: Stage) -> None:
        """Fit the ridge regression of ``model.ridge`` to the training split of a stage.

        AV_proj becomes 0, so that training starts with the regression's prediction.
        """
        if self.regression is None:
            return
        indices = clips.splits[stage.train]
        x_NF = of_clips(self.regressors, clips, indices, self.regression.map_FW.device)
        self.regression.fit(x_NF, clips.words_CW[clips.labels_N[indices]])
        for parameter in self.av_proj.parameters():
            nn.init.zeros_(parameter)

    def share(self) -> None:
        """Make batch norm and dropout span the clips of all processes.

        ``W_proj`` is excepted, since every process embeds all classes.
        """
        for child in self.children():
            if child is not self.w_proj:
                join_rows(child)


def embedded(output: Output, batch: Batch) -> Embedded:
    """The model's output for a batch as :class:`Embedded`."""
    return joint(output.o_av_BE, Spikes(output.spikes, batch.mask_BT))
