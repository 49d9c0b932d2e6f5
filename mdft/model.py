"""MDFT: the model of the paper's Figure 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mdft.calibrate import calibrate
from mdft.config import ModelConfig
from mdft.crm import CrossModalTransformer, FusionBlock, accumulate
from mdft.dab import DAB
from mdft.data.dataset import Batch
from mdft.layers import Encoder, Projection, Reconstruction, masked_mean
from mdft.motion import MotionBranch
from mdft.neuron import INPUT_GRID, INPUT_MAX, snap
from mdft.rjlu import RJLU
from mdft.threshold import dynamic_threshold

PATHWAYS = ("audio", "visual")


@dataclass(frozen=True)
class MotionInput:
    """What one pathway of the motion branch is given.

    Attributes:
        x_BSD: its events E_a or E_v of every step, 8-bit graded spikes on ``INPUT_GRID``.
        current_BS1: its threshold current of every step.
        theta_BT1: the threshold of each second that the current stands for.
    """

    x_BSD: Tensor
    current_BS1: Tensor
    theta_BT1: Tensor


@dataclass(frozen=True)
class Semantics:
    """What the dense stream knows before motion: encoded features and joint knowledge."""

    a_BTD: Tensor
    v_BTD: Tensor
    S_BTD: Tensor
    h_BTD: Tensor


@dataclass(frozen=True)
class Output:
    """What the model says of a batch.

    Attributes:
        o_av_BE: audio-visual embeddings, eq. (12).
        reconstructed_BW: their reconstructed word vectors.
        spikes: pathway → spikes (B,S,N) of each layer; empty without motion.
    """

    o_av_BE: Tensor
    reconstructed_BW: Tensor
    spikes: dict[str, list[Tensor]]


class MDFT(nn.Module):
    """Motion-Decoupled Spiking Transformer.

    Args:
        config: the architecture and its switches.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, E = config.dim, config.joint
        motion = config.motion
        self.config = config
        self.audio_encoder = Encoder(D, D, config.dropout_encoder)
        self.visual_encoder = Encoder(D, D, config.dropout_encoder)
        self.rjlu = RJLU(D, config.heads)
        self.audio_fusion = FusionBlock(D, config.heads, gated=motion.enabled)
        self.visual_fusion = FusionBlock(D, config.heads, gated=motion.enabled)
        if motion.enabled:
            self.dab = DAB()
            neuron = {"beta": motion.beta, "theta_0": motion.theta_0, "alpha": motion.alpha}
            self.motion = nn.ModuleDict(
                {pathway: MotionBranch(D, D, motion.layers, **neuron) for pathway in PATHWAYS}
            )
        self.cross_modal = CrossModalTransformer(D, config.heads, config.transformer_layers)
        self.av_proj = Projection(D, D, E, config.dropout_projection)
        self.w_proj = Projection(config.words, D, E, config.dropout_words)
        self.reconstruct = Reconstruction(E, D, config.words, config.dropout_projection)

    def forward(self, batch: Batch) -> Output:
        """Figure 2, left to right.

        Args:
            batch: features, events and mask of B clips.

        Returns:
            The embeddings, their reconstruction and every spike.
        """
        semantics = self.semantics(batch)  # encoders, RJLU: eqs. (1)-(3)
        inputs = self._motion_inputs(semantics, batch)  # DAB, threshold: eqs. (4)-(7)
        spikes = {  # eqs. (8), (9)
            pathway: self.branch(pathway).spikes(x.x_BSD, x.current_BS1)
            for pathway, x in inputs.items()
        }
        o_av_BE = self.reason(semantics, {p: s[-1] for p, s in spikes.items()}, batch.mask_BT)
        return Output(o_av_BE, self.reconstruct(o_av_BE), spikes)

    def semantics(self, batch: Batch) -> Semantics:
        """The contextual stream: encoders ``E_aud``, ``E_vis`` and the RJLU, eqs. (1) to (3)."""
        a_BTD = self.audio_encoder(batch.audio_BTD, batch.mask_BT)
        v_BTD = self.visual_encoder(batch.visual_BTD, batch.mask_BT)
        S_BTD, h_BTD = self.rjlu(a_BTD, v_BTD, batch.mask_BT)
        return Semantics(a_BTD, v_BTD, S_BTD, h_BTD)

    def motion_inputs(self, batch: Batch) -> dict[str, MotionInput]:
        """What each pathway of the motion branch is given for a batch, eqs. (4) to (7)."""
        return self._motion_inputs(self.semantics(batch), batch)

    def reason(self, semantics: Semantics, spikes: dict[str, Tensor], mask_BT: Tensor) -> Tensor:
        """CRM and projection, eqs. (10) to (12).

        Args:
            semantics: the contextual stream.
            spikes: pathway → output spikes (B,S,N) of its motion branch, from PyTorch or from a
                simulator; empty without motion.
            mask_BT: bool, True where the second exists.

        Returns:
            ``O_av`` (B,E).
        """
        T = mask_BT.shape[1]
        j = {p: accumulate(s.unflatten(1, (T, -1))) for p, s in spikes.items()}
        P_a_BTD = self.audio_fusion(semantics.a_BTD, j.get("audio"), mask_BT)
        P_v_BTD = self.visual_fusion(semantics.v_BTD, j.get("visual"), mask_BT)
        F_av_BTD = self.cross_modal(P_v_BTD, P_a_BTD, semantics.h_BTD, mask_BT)
        return self.av_proj(masked_mean(F_av_BTD, mask_BT))

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """``O_w = W_proj(w)``, (C,E), for the words of C classes."""
        return self.w_proj(words_CW)

    def branch(self, pathway: str) -> MotionBranch:
        """The motion branch of ``"audio"`` or ``"visual"``."""
        return cast(MotionBranch, self.motion[pathway])

    @torch.no_grad()
    def calibrate(self, batch: Batch) -> dict[str, list[float]]:
        """Data-dependent initialisation of the spiking layers; see :mod:`mdft.calibrate`.

        Args:
            batch: real clips; batch statistics are used and not kept.

        Returns:
            pathway → firing rate that each layer reached.
        """
        if not self.config.motion.enabled:
            return {}
        buffers = {name: value.clone() for name, value in self.named_buffers()}
        inputs = self.motion_inputs(batch)
        for name, value in self.named_buffers():
            value.copy_(buffers[name])
        mask_BS = batch.mask_BT.repeat_interleave(batch.events_BTKD.shape[2], dim=1)
        rate = self.config.motion.rate
        return {
            p: calibrate(self.branch(p), x.x_BSD, x.current_BS1, rate=rate, mask_BS=mask_BS)
            for p, x in inputs.items()
        }

    def _motion_inputs(self, semantics: Semantics, batch: Batch) -> dict[str, MotionInput]:
        if not self.config.motion.enabled:
            return {}
        K = batch.events_BTKD.shape[2]
        E_v_BTD = batch.events_BTKD.mean(2)
        E_a_BTD = self.dab(semantics.a_BTD, E_v_BTD)
        E_a_BTKD = E_a_BTD[:, :, None].expand(-1, -1, K, -1)
        return {
            "audio": self._motion_input("audio", semantics.S_BTD, E_a_BTD, E_a_BTKD),
            "visual": self._motion_input("visual", semantics.S_BTD, E_v_BTD, batch.events_BTKD),
        }

    def _motion_input(
        self, pathway: str, S_BTD: Tensor, mean_BTD: Tensor, events_BTKD: Tensor
    ) -> MotionInput:
        motion, K = self.config.motion, events_BTKD.shape[2]
        theta_BT1 = dynamic_threshold(
            S_BTD,
            mean_BTD,
            mode=motion.threshold,
            theta_0=motion.theta_0,
            theta_min=motion.theta_min,
            theta_max=motion.theta_max,
        )
        current_BS1 = self.branch(pathway).threshold_current(theta_BT1.repeat_interleave(K, dim=1))
        x_BSD = snap(events_BTKD.flatten(1, 2), INPUT_GRID, -INPUT_MAX, INPUT_MAX)
        return MotionInput(x_BSD, current_BS1, theta_BT1)
