"""Configurations of the model, of its spiking motion branch and of its losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from mdft.errors import require
from mdft.lif.grid import DECAY_STEPS, FEWEST_BITS, GRID, MOST_BITS, Arithmetic

#: How the threshold follows context and motion, eq. (7).
ThresholdMode = Literal["relative", "paper", "fixed"]
#: Fields of ModelConfig that count something.
WIDTHS = (
    "dim",
    "audio_features",
    "visual_features",
    "joint",
    "words",
    "heads",
    "transformer_layers",
)


@dataclass(frozen=True)
class MotionConfig:
    """The spiking motion branch (section 3.2 of the paper)."""

    enabled: bool = True
    """False: the ablation without motion (MIM); features are fused ungated."""
    network: Literal["snn", "mlp"] = "snn"
    """mlp: the ablation of Table 2, the same Linears with ReLU and no state."""
    events: bool = True
    """False: the ablation without EGM; the branch is given encoded features instead of events."""
    layers: int = 3
    """Blocks of Linear + LIF in each pathway."""
    beta: float = 0.5
    """Leak a step, 1 − dt/τ."""
    theta_0: float = 1.0
    """Resting threshold θ0."""
    threshold: ThresholdMode = "relative"
    """How the threshold follows context and motion, eq. (7)."""
    theta_fixed: float = 1.0
    """The threshold of mode fixed; weights start as they would for theta_0."""
    per_neuron: bool = False
    """One threshold a neuron, eq. (7) elementwise as printed, and not one a sample and second."""
    theta_min: float = 0.5
    """Lower bound of the dynamic threshold."""
    theta_max: float = 2.0
    """Upper bound of the dynamic threshold."""
    alpha: float = 2.0
    """Sharpness of the arctangent surrogate gradient."""
    rate: float = 0.12
    """Spikes per neuron and step that the initialisation aims at."""
    arithmetic: Annotated[Arithmetic, tyro.conf.arg(aliases=["--motion.arithmetic"])] = "float"
    """Membranes: real numbers, or Loihi's integers; then the spikes are Lava's in fixed point."""
    weight_bits: Annotated[int, tyro.conf.arg(aliases=["--motion.weight-bits"])] = MOST_BITS
    """Bits of a weight, 2 to 8."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        steps = DECAY_STEPS * self.beta
        grid = self.theta_0 / GRID
        require(self.layers >= 1, "layers", self.layers, "at least 1")
        require(
            0 <= steps < DECAY_STEPS and steps.is_integer(), "beta", self.beta, "k/32, 0 <= k < 32"
        )
        forgets = self.arithmetic == "loihi" and steps == 0
        require(not forgets, "beta", self.beta, "more than 0 with arithmetic loihi")
        require(grid > 0 and grid.is_integer(), "theta_0", self.theta_0, "k/64, k > 0")
        low, high = self.theta_min, self.theta_max
        require(0 < low <= self.theta_0, "theta_min", low, "0 < it <= theta_0")
        require(self.theta_0 <= high < math.inf, "theta_max", high, ">= theta_0")
        require(0 < self.theta_fixed < math.inf, "theta_fixed", self.theta_fixed, "more than 0")
        require(0 < self.alpha < math.inf, "alpha", self.alpha, "more than 0")
        require(0 < self.rate < 0.5, "rate", self.rate, "between 0 and 0.5")
        bits = self.weight_bits
        expected = f"{FEWEST_BITS} to {MOST_BITS}"
        require(FEWEST_BITS <= bits <= MOST_BITS, "weight_bits", bits, expected)


@dataclass(frozen=True)
class ModelConfig:
    """The whole model."""

    dim: int = 512
    """Width D of encoders, event channels and spiking layers; 512, or less on a coarser grid of
    events: 128 joins 2 × 2 of its cells, 32 joins 4 × 4."""
    audio_features: int = 512
    """Width of the audio features; 512 of SeLaVi, 128 of VGGish."""
    visual_features: int = 512
    """Width of the visual features; 512 of SeLaVi, 4096 of C3D."""
    modality: Literal["both", "audio", "visual"] = "both"
    """audio, visual: the ablations of Figure 5; the other modality is zero and has no pathway."""
    rjlu: bool = True
    """False: the ablation of Table 3; S is the mean of a and v, and there is no h."""
    crm: bool = True
    """False: the ablation of Table 3; gated features and h are summed, without attention."""
    joint: int = 64
    """Width E of the joint space."""
    words: int = 300
    """Width W of the word vectors."""
    heads: int = 8
    """Attention heads, of width D / heads."""
    transformer_layers: int = 1
    """Depth of the cross-modal transformer."""
    dropout_encoder: float = 0.2
    """d_enc."""
    dropout_projection: float = 0.2
    """d_proj, also of the reconstruction (d_dec)."""
    dropout_words: float = 0.1
    """d_wproj."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """The spiking branch."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        self.motion.check()
        for name in WIDTHS:
            value = getattr(self, name)
            require(value >= 1, name, value, "at least 1")
        require(self.dim >= 2, "dim", self.dim, "at least 2")  # the entropy of one feature is 0
        require(self.dim % self.heads == 0, "heads", self.heads, f"a divisor of dim, {self.dim}")
        for name in ("dropout_encoder", "dropout_projection", "dropout_words"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "0 <= it < 1")


@dataclass(frozen=True)
class LossConfig:
    """L_all = L_n + L_p + L_r; each term has a switch. Ours: a bound on firing rates."""

    triplet: bool = True
    """L_n, eq. (13)."""
    projection: bool = True
    """L_p, eq. (14)."""
    reconstruction: bool = True
    """L_r, eq. (15)."""
    margin: float = 1.0
    """γ of eq. (13)."""
    rate_limit: float = 0.2
    """Firing rate above which a spiking layer is penalised; 1 switches the penalty off."""
    rate_weight: float = 10.0
    """Of that penalty."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        on = self.triplet or self.projection or self.reconstruction
        require(on, "loss", "all off", "at least one of triplet, projection, reconstruction")
        require(0 < self.margin < math.inf, "margin", self.margin, "more than 0")
        require(0 < self.rate_limit <= 1, "rate_limit", self.rate_limit, "0 < it <= 1")
        require(0 <= self.rate_weight < math.inf, "rate_weight", self.rate_weight, "0 or more")
