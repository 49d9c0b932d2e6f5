"""AVMST: Li et al., Modality-Fusion Spiking Transformer Network, ICME 2023."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdft.config.baselines import AVMSTConfig
from mdft.config.model import ModelConfig
from mdft.data.dataset import Batch
from mdft.lif.layer import lif_sequence
from mdft.lif.neuron import AtanSpike, LIFParams
from mdft.systems.avca import AVCA
from mdft.systems.blocks import averaged
from mdft.systems.interface import Spikes


class SpikingEncoder(nn.Module):
    """Two blocks of Linear and integrate-and-fire with a constant input over all steps.

    ``u(t) = u(t−1) + I(t)``; a neuron spikes if ``u(t) > θ``, and then ``u(t)`` becomes 0.

    Args:
        features: width of the input.
        hidden: width of the first layer.
        dim: width of the second layer.
        steps: number of steps S.
        theta: threshold θ.
    """

    def __init__(self, features: int, hidden: int, dim: int, steps: int, theta: float) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(features, hidden), nn.Linear(hidden, dim)])
        self.steps, self.params, self.spike = steps, LIFParams(1.0, theta), AtanSpike()

    def forward(self, x_BD: Tensor) -> list[Tensor]:
        """Spikes (B,S,N) of both layers."""
        layers, signal_BSD = [], x_BD[:, None]
        for linear in self.linears:
            current_BSN = linear(signal_BSD).expand(-1, self.steps, -1)
            signal_BSD, _ = lif_sequence(current_BSN.contiguous(), self.params, self.spike)
            layers.append(signal_BSD)
        return layers


class AVMST(AVCA):
    """AVCA in which each token first attends to itself, gated by firing rates of a spiking network.

    Args:
        widths: the widths of the data.
        config: hyperparameters.
    """

    def __init__(self, widths: ModelConfig, config: AVMSTConfig) -> None:
        super().__init__(widths, config)
        c = config
        self.spiking_audio, self.spiking_visual = (
            SpikingEncoder(features, c.hidden, c.dim, c.steps, c.theta)
            for features in (widths.audio_features, widths.visual_features)
        )

    def encode(self, batch: Batch) -> tuple[Tensor, Spikes]:
        """``φ_m ← T([φ_m, φ_m ⊙ softmax(r_m)] + pos_m)_m``, with firing rates r; and the spikes."""
        phi_BRD, _ = super().encode(batch)
        audio_BD, visual_BD = averaged(batch)
        spikes = {"audio": self.spiking_audio(audio_BD), "visual": self.spiking_visual(visual_BD)}
        fused = []
        for m, layers in enumerate(spikes.values()):
            phi_BD, rate_BD = phi_BRD[:, m], layers[-1].mean(1)
            pair_B2D = torch.stack([phi_BD, phi_BD * rate_BD.softmax(-1)], dim=1)
            fused.append(self.transformer(pair_B2D + self.position_MD[m])[:, m])
        mask_BT = batch.mask_BT.any(1, keepdim=True)  # an averaged clip has one second
        return torch.stack(fused, dim=1), Spikes(spikes, mask_BT)
