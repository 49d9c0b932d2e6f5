"""MDFT: the model of the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mdft.config.model import ModelConfig
from mdft.data.cells import pool_cells
from mdft.data.dataset import Batch
from mdft.lif.grid import INPUT_GRID, INPUT_MAX
from mdft.lif.neuron import snap
from mdft.lif.precision import at_least_float32
from mdft.model.calibrate import calibrate
from mdft.model.crm import CRM, GatedSum, accumulate
from mdft.model.dab import DiscrepancyAnalysis
from mdft.model.layers import Encoder, Projection, Reconstruction, Unit, masked_mean
from mdft.model.motion import MotionBranch, MotionMLP
from mdft.model.readout import READOUTS
from mdft.model.regression import Regression
from mdft.model.rjlu import RJLU
from mdft.model.threshold import dynamic_threshold

PATHWAYS = ("audio", "visual")


@dataclass(frozen=True)
class MotionInput:
    """The inputs of one pathway of the motion branch.

    Attributes:
        x_BSD: events E_a or E_v of every step, 8-bit graded spikes on ``INPUT_GRID``.
        current_BS1: threshold current of every step; (B,S,N) with one threshold per neuron; zero
            without a spiking network.
        theta_BT1: threshold θ of each second, which the current encodes; or (B,T,N).
    """

    x_BSD: Tensor
    current_BS1: Tensor
    theta_BT1: Tensor


@dataclass(frozen=True)
class Semantics:
    """Output of the contextual stream: encoded features and joint knowledge.

    ``h_BTD`` is None in the ablation without RJLU. ``r_BW`` is the word vector that the ridge
    regression predicts, None without it.
    """

    a_BTD: Tensor
    v_BTD: Tensor
    S_BTD: Tensor
    h_BTD: Tensor | None
    r_BW: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """Output of the model for a batch.

    Attributes:
        o_av_BE: audio-visual embeddings, eq. (12).
        reconstructed_BW: their reconstructed word vectors.
        spikes: pathway → spikes (B,S,N) of each layer; empty without a spiking network.
    """

    o_av_BE: Tensor
    reconstructed_BW: Tensor
    spikes: dict[str, list[Tensor]]


class MDFT(nn.Module):
    """Motion-Decoupled Spiking Transformer, the model of Figure 2 and eqs. (1) to (12).

    >>> config = ModelConfig(audio_features=24, visual_features=24, dim=32, heads=2)
    >>> model = MDFT(config).eval()
    >>> features = torch.rand(2, 4, 10, 24)  # of 4 clips, 10 seconds each
    >>> events, exists = torch.rand(4, 10, 5, 32), torch.ones(4, 10, dtype=torch.bool)
    >>> output = model(Batch(*features, events, exists, torch.zeros(4, dtype=torch.int64)))
    >>> output.o_av_BE.shape, model.embed_words(torch.rand(20, 300)).shape
    (torch.Size([4, 64]), torch.Size([20, 64]))

    Args:
        config: the architecture and its switches.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, motion = config.dim, config.motion
        E = config.joint if config.space == "joint" else config.words
        self.config = config
        #: The pathways that have a motion branch.
        self.pathways = tuple(
            p for p in PATHWAYS if motion.enabled and config.modality in ("both", p)
        )
        self.audio_encoder = Encoder(config.audio_features, D, config.dropout_encoder)
        self.visual_encoder = Encoder(config.visual_features, D, config.dropout_encoder)
        self.rjlu = RJLU(D, config.heads) if config.rjlu else None
        if "audio" in self.pathways:
            self.dab = DiscrepancyAnalysis()
        self.motion = nn.ModuleDict({p: motion_network(config, p) for p in self.pathways})
        self.crm = (
            CRM(D, config.heads, config.transformer_layers, self.pathways)
            if config.crm
            else GatedSum(D, self.pathways)
        )
        readouts = READOUTS[motion.value] if self.pathways else ()
        self.readouts = nn.ModuleList(
            readout(D, self.pathways, motion.layers, config.dropout_projection)
            for readout in readouts
        )
        if config.space == "joint":
            self.av_proj = Projection(D, D, E, config.dropout_projection)
            self.w_proj = Projection(config.words, D, E, config.dropout_words)
        else:
            drop = nn.Dropout(config.dropout_projection)
            self.av_proj = nn.Sequential(drop, nn.Linear(D, E))
            self.w_proj = Unit()
        self.sphere = nn.Identity() if config.space == "joint" else Unit()
        self.regression = None
        if config.ridge is not None:
            width = config.audio_features + config.visual_features
            self.regression = Regression(width, config.words, config.ridge)
        self.reconstruct = Reconstruction(E, D, config.words, config.dropout_projection)

    def extra_repr(self) -> str:
        """The settings that the submodules do not print."""
        motion = self.config.motion
        return (
            f"modality={self.config.modality!r}, events={motion.events}, "
            f"threshold={motion.threshold!r}, theta_min={motion.theta_min}, "
            f"theta_max={motion.theta_max}, per_neuron={motion.per_neuron}"
        )

    def forward(self, batch: Batch) -> Output:
        """Compute Figure 2 from left to right.

        Args:
            batch: features, events and mask of B clips.

        Returns:
            The embeddings, their reconstructed word vectors and the spikes of every layer.
        """
        semantics = self.semantics(batch)  # encoders, RJLU: eqs. (1)-(3)
        inputs = self._motion_inputs(semantics, batch)  # EGM, DAB, threshold: eqs. (4)-(7)
        layers = {p: self._layers(p, x) for p, x in inputs.items()}  # SNN: eqs. (8), (9)
        o_av_BE = self.reason(semantics, layers, batch.mask_BT)  # CRM, AV_proj: eqs. (10)-(12)
        spikes = layers if self.spiking else {}
        return Output(o_av_BE, self.reconstruct(o_av_BE), spikes)

    @property
    def spiking(self) -> bool:
        """Whether this model has a spiking network."""
        return bool(self.pathways) and self.config.motion.network == "snn"

    def semantics(self, batch: Batch) -> Semantics:
        """The contextual stream: encoders ``E_aud``, ``E_vis`` and the RJLU, eqs. (1) to (3)."""
        a_BTD = self.audio_encoder(self._present("audio", batch.audio_BTD), batch.mask_BT)
        v_BTD = self.visual_encoder(self._present("visual", batch.visual_BTD), batch.mask_BT)
        if self.rjlu is None:
            S_BTD, h_BTD = (a_BTD + v_BTD) / 2, None
        else:
            S_BTD, h_BTD = self.rjlu(a_BTD, v_BTD, batch.mask_BT)
        r_BW = None if self.regression is None else self.regression(self.regressors(batch))
        return Semantics(a_BTD, v_BTD, S_BTD, h_BTD, r_BW)

    def regressors(self, batch: Batch) -> Tensor:
        """Input of the ridge regression (B,F): the averaged features of both modalities."""
        audio_BD = masked_mean(self._present("audio", batch.audio_BTD), batch.mask_BT)
        visual_BD = masked_mean(self._present("visual", batch.visual_BTD), batch.mask_BT)
        return torch.cat([audio_BD, visual_BD], -1)

    def motion_inputs(self, batch: Batch) -> dict[str, MotionInput]:
        """The inputs of each pathway of the motion branch for a batch, eqs. (4) to (7)."""
        return self._motion_inputs(self.semantics(batch), batch)

    def reason(
        self, semantics: Semantics, layers: Mapping[str, Sequence[Tensor]], mask_BT: Tensor
    ) -> Tensor:
        """CRM and projection, eqs. (10) to (12).

        Args:
            semantics: the contextual stream.
            layers: pathway → spikes (B,S,N) of each layer of its motion branch, from PyTorch or
                from a simulator; empty without motion.
            mask_BT: bool, True where the second exists.

        Returns:
            ``O_av`` (B,E).
        """
        T = mask_BT.shape[1]
        j = {p: accumulate(outputs[-1].unflatten(1, (T, -1))) for p, outputs in layers.items()}
        F_av_BTD = self.crm(semantics.a_BTD, semantics.v_BTD, semantics.h_BTD, j, mask_BT)
        for readout in self.readouts:
            F_av_BTD = F_av_BTD + readout(layers, semantics.a_BTD, semantics.v_BTD, mask_BT)
        o_av_BE = self.av_proj(masked_mean(F_av_BTD, mask_BT))
        if semantics.r_BW is not None:
            o_av_BE = o_av_BE + semantics.r_BW
        return self.sphere(o_av_BE)

    def embed_words(self, words_CW: Tensor) -> Tensor:
        """``O_w = W_proj(w)``, (C,E), for C classes; in the space of words it is ``w / ‖w‖``."""
        return self.w_proj(words_CW)

    def branch(self, pathway: str) -> MotionBranch:
        """The motion branch of ``"audio"`` or ``"visual"``."""
        return cast(MotionBranch, self.motion[pathway])

    @torch.no_grad()
    def calibrate(self, batch: Batch) -> dict[str, list[float]]:
        """Data-dependent initialisation of the spiking layers; see :mod:`mdft.model.calibrate`.

        Args:
            batch: real clips; running batch statistics are restored afterwards.

        Returns:
            pathway → firing rate of each layer after calibration.
        """
        if not self.spiking:
            return {}
        buffers = {name: value.clone() for name, value in self.named_buffers()}
        inputs = self.motion_inputs(batch)
        for name, value in self.named_buffers():
            value.copy_(buffers[name])
        mask_BS = batch.mask_BT.repeat_interleave(batch.events_BTKD.shape[2], dim=1)
        found = {}
        for pathway, given in inputs.items():
            current_BS1 = given.current_BS1
            if (
                self.config.motion.threshold == "fixed"
            ):  # otherwise calibration would compensate for its value
                current_BS1 = torch.zeros_like(current_BS1)
            branch, rate = self.branch(pathway), self.config.motion.rate
            found[pathway] = calibrate(branch, given.x_BSD, current_BS1, rate=rate, mask_BS=mask_BS)
        return found

    def _present(self, modality: str, x: Tensor) -> Tensor:
        """The input of a modality; zeros if the model uses only the other modality."""
        return x if self.config.modality in ("both", modality) else torch.zeros_like(x)

    def _layers(self, pathway: str, given: MotionInput) -> list[Tensor]:
        network = self.motion[pathway]
        if isinstance(network, MotionMLP):
            return network.outputs(given.x_BSD)
        return self.branch(pathway).spikes(given.x_BSD, threshold_current=given.current_BS1)

    def _motion_inputs(self, semantics: Semantics, batch: Batch) -> dict[str, MotionInput]:
        E_v_BTKD = pool_cells(self._present("visual", batch.events_BTKD), self.config.dim)
        K = E_v_BTKD.shape[2]
        if not self.config.motion.events:
            v_BTD = self._present("visual", semantics.v_BTD)
            E_v_BTKD = v_BTD[:, :, None].expand(-1, -1, K, -1)
        mean_BTD = {"visual": E_v_BTKD.mean(2)}
        events_BTKD = {"visual": E_v_BTKD}
        if "audio" in self.pathways:
            mean_BTD["audio"] = self.dab(semantics.a_BTD, mean_BTD["visual"])
            events_BTKD["audio"] = mean_BTD["audio"][:, :, None].expand(-1, -1, K, -1)
        return {
            p: self._motion_input(p, semantics.S_BTD, mean_BTD[p], events_BTKD[p])
            for p in self.pathways
        }

    def _motion_input(
        self, pathway: str, S_BTD: Tensor, mean_BTD: Tensor, events_BTKD: Tensor
    ) -> MotionInput:
        motion, K = self.config.motion, events_BTKD.shape[2]
        theta_BT1 = dynamic_threshold(
            S_BTD,
            mean_BTD,
            mode=motion.threshold,
            theta_0=motion.theta_fixed if motion.threshold == "fixed" else motion.theta_0,
            theta_min=motion.theta_min,
            theta_max=motion.theta_max,
            per_neuron=motion.per_neuron,
        )
        theta_BS1 = theta_BT1.repeat_interleave(K, dim=1)
        current_BS1 = torch.zeros_like(theta_BS1)
        if self.spiking:
            current_BS1 = self.branch(pathway).threshold_current(theta_BS1)
        events_BSD = at_least_float32(events_BTKD.flatten(1, 2))
        x_BSD = snap(events_BSD, INPUT_GRID, -INPUT_MAX, INPUT_MAX)
        return MotionInput(x_BSD, current_BS1, theta_BT1)


def motion_network(config: ModelConfig, pathway: str) -> MotionBranch | MotionMLP:
    """The motion network of one pathway, spiking or MLP as configured."""
    D, motion = config.dim, config.motion
    if motion.network == "mlp":
        return MotionMLP(D, D, motion.layers)
    fields = ("beta", "theta_0", "alpha", "arithmetic", "weight_bits")
    given = {field: getattr(motion, field) for field in fields}
    return MotionBranch(D, D, motion.layers, **given, name=f"motion.{pathway}")
