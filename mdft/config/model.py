"""Configurations of the model, of its spiking motion branch and of its losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro
from annotated_types import Ge, Interval

from mdft.config.ranges import Count, NotNegative, Positive, Share
from mdft.errors import require
from mdft.lif.grid import DECAY_STEPS, FEWEST_BITS, GRID, MOST_BITS, Arithmetic

#: How the threshold follows context and motion, eq. (7).
ThresholdMode = Literal["relative", "paper", "fixed"]


@dataclass(frozen=True)
class MotionConfig:
    """The spiking motion branch (section 3.2 of the paper)."""

    enabled: bool = True
    """False: the ablation without motion (MIM); features are fused ungated."""
    network: Literal["snn", "mlp"] = "snn"
    """mlp: the ablation of Table 2, the same Linears with ReLU and no state."""
    events: bool = True
    """False: the ablation without EGM; the branch is given encoded features instead of events."""
    layers: Count = 3
    """Blocks of Linear + LIF in each pathway."""
    beta: float = 0.5
    """Leak a step, 1 − dt/τ."""
    theta_0: float = 1.0
    """Resting threshold θ0."""
    threshold: ThresholdMode = "relative"
    """How the threshold follows context and motion, eq. (7)."""
    theta_fixed: Positive = 1.0
    """The threshold of mode fixed; weights start as they would for theta_0."""
    per_neuron: bool = False
    """One threshold a neuron, eq. (7) elementwise as printed, and not one a sample and second."""
    theta_min: float = 0.5
    """Lower bound of the dynamic threshold."""
    theta_max: float = 2.0
    """Upper bound of the dynamic threshold."""
    alpha: Positive = 2.0
    """Sharpness of the arctangent surrogate gradient."""
    rate: Annotated[float, Interval(gt=0, lt=0.5)] = 0.12
    """Spikes per neuron and step that the initialisation aims at."""
    arithmetic: Annotated[Arithmetic, tyro.conf.arg(aliases=["--motion.arithmetic"])] = "float"
    """Membranes: real numbers, or Loihi's integers; then the spikes are Lava's in fixed point."""
    weight_bits: Annotated[
        int,
        Interval(ge=FEWEST_BITS, le=MOST_BITS),
        tyro.conf.arg(aliases=["--motion.weight-bits"]),
    ] = MOST_BITS
    """Bits of a weight, 2 to 8."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        steps = DECAY_STEPS * self.beta
        grid = self.theta_0 / GRID
        require(
            0 <= steps < DECAY_STEPS and steps.is_integer(), "beta", self.beta, "k/32, 0 <= k < 32"
        )
        forgets = self.arithmetic == "loihi" and steps == 0
        require(not forgets, "beta", self.beta, "more than 0 with arithmetic loihi")
        require(grid > 0 and grid.is_integer(), "theta_0", self.theta_0, "k/64, k > 0")
        low, high = self.theta_min, self.theta_max
        require(0 < low <= self.theta_0, "theta_min", low, "0 < it <= theta_0")
        require(self.theta_0 <= high < math.inf, "theta_max", high, ">= theta_0")


@dataclass(frozen=True)
class ModelConfig:
    """The whole model."""

    dim: Annotated[int, Ge(2)] = 512  # the entropy of one feature is 0
    """Width D of encoders, event channels and spiking layers; 512, or less on a coarser grid of
    events: 128 joins 2 × 2 of its cells, 32 joins 4 × 4."""
    audio_features: Count = 512
    """Width of the audio features; 512 of SeLaVi, 128 of VGGish."""
    visual_features: Count = 512
    """Width of the visual features; 512 of SeLaVi, 4096 of C3D."""
    modality: Literal["both", "audio", "visual"] = "both"
    """audio, visual: the ablations of Figure 5; the other modality is zero and has no pathway."""
    rjlu: bool = True
    """False: the ablation of Table 3; S is the mean of a and v, and there is no h."""
    crm: bool = True
    """False: the ablation of Table 3; gated features and h are summed, without attention."""
    joint: Count = 64
    """Width E of the joint space."""
    words: Count = 300
    """Width W of the word vectors."""
    heads: Count = 8
    """Attention heads, of width D / heads."""
    transformer_layers: Count = 1
    """Depth of the cross-modal transformer."""
    dropout_encoder: Share = 0.2
    """d_enc."""
    dropout_projection: Share = 0.2
    """d_proj, also of the reconstruction (d_dec)."""
    dropout_words: Share = 0.1
    """d_wproj."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """The spiking branch."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        self.motion.check()
        require(self.dim % self.heads == 0, "heads", self.heads, f"a divisor of dim, {self.dim}")


@dataclass(frozen=True)
class LossConfig:
    """L_all = L_n + L_p + L_r; each term has a switch. Ours: a bound on firing rates."""

    triplet: bool = True
    """L_n, eq. (13)."""
    projection: bool = True
    """L_p, eq. (14)."""
    reconstruction: bool = True
    """L_r, eq. (15)."""
    margin: Positive = 1.0
    """γ of eq. (13)."""
    rate_limit: Annotated[float, Interval(gt=0, le=1)] = 0.2
    """Firing rate above which a spiking layer is penalised; 1 switches the penalty off."""
    rate_weight: NotNegative = 10.0
    """Of that penalty."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        on = self.triplet or self.projection or self.reconstruction
        require(on, "loss", "all off", "at least one of triplet, projection, reconstruction")
