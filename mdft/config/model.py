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
    """False: the ablation without the motion module (MIM); features are fused without gating."""
    network: Literal["snn", "mlp"] = "snn"
    """mlp: the ablation of Table 2, the same linear layers with ReLU and no state."""
    events: bool = True
    """False: the ablation without event generation (EGM); the branch receives encoded features
    instead of events."""
    layers: Count = 3
    """Blocks of Linear + LIF in each pathway."""
    beta: float = 0.5
    """Leak factor β of the membrane per step, 1 − dt/τ; a multiple of 1/32."""
    theta_0: float = 1.0
    """Resting threshold θ0; a multiple of 1/64."""
    threshold: ThresholdMode = "relative"
    """How the threshold depends on context and motion, eq. (7)."""
    theta_fixed: Positive = 1.0
    """Threshold in mode fixed; weights are initialised for theta_0 all the same."""
    per_neuron: bool = False
    """True: one threshold per neuron, eq. (7) elementwise as printed; False: one per sample and
    second."""
    value: Literal["gate", "linear", "recurrent", "both"] = "gate"
    """How motion reaches the embedding. gate: as a factor on the features alone, eq. (10); linear:
    also as a value, linear in the firing rates; recurrent: also as the state of a recurrence over
    the event bins; both: the sum of the two."""
    theta_min: float = 0.5
    """Lower bound of the dynamic threshold."""
    theta_max: float = 2.0
    """Upper bound of the dynamic threshold."""
    alpha: Positive = 2.0
    """Sharpness of the arctangent surrogate gradient."""
    rate: Annotated[float, Interval(gt=0, lt=0.5)] = 0.12
    """Target firing rate of the weight initialisation, in spikes per neuron and step."""
    arithmetic: Annotated[Arithmetic, tyro.conf.arg(aliases=["--motion.arithmetic"])] = "float"
    """float: floating-point membranes; loihi: Loihi's integer membranes, with the spikes of
    Lava's fixed-point simulation."""
    weight_bits: Annotated[
        int,
        Interval(ge=FEWEST_BITS, le=MOST_BITS),
        tyro.conf.arg(aliases=["--motion.weight-bits"]),
    ] = MOST_BITS
    """Bits of a quantised weight, 2 to 8."""

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
    """Width D of encoders, event channels and spiking layers: 512, or less with a coarser event
    grid; 128 averages 2 × 2 cells of the grid, 32 averages 4 × 4."""
    audio_features: Count = 512
    """Width of the audio features: 512 for SeLaVi, 128 for VGGish."""
    visual_features: Count = 512
    """Width of the visual features: 512 for SeLaVi, 4096 for C3D."""
    modality: Literal["both", "audio", "visual"] = "both"
    """audio, visual: the ablations of Figure 5, which use this modality only."""
    rjlu: bool = True
    """False: the ablation of Table 3 without RJLU; S is the mean of a and v, without h."""
    crm: bool = True
    """False: the ablation of Table 3 without CRM; gated features and h are added, without
    attention."""
    joint: Count = 64
    """Width E of the joint space."""
    words: Count = 300
    """Width W of the word vectors."""
    space: Literal["joint", "words"] = "joint"
    """Where clips and words are compared. joint: both are projected into a joint space of width E,
    eq. (12); words: clips are mapped linearly into the space of the words, onto the unit sphere."""
    ridge: Positive | None = None
    """Strength of a ridge regression from the averaged features to the words, whose prediction is
    added to the embedding before it is scaled to length 1; None: no regression."""
    heads: Count = 8
    """Attention heads, each of width D / heads."""
    transformer_layers: Count = 1
    """Depth of the cross-modal transformer."""
    dropout_encoder: Share = 0.2
    """Dropout probability d_enc of the encoders."""
    dropout_projection: Share = 0.2
    """Dropout probability d_proj of the projection, and d_dec of the reconstruction."""
    dropout_words: Share = 0.1
    """Dropout probability d_wproj of the word projection."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """The spiking branch."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        self.motion.check()
        words = self.ridge is None or self.space == "words"
        require(words, "ridge", self.ridge, "--model.ridge None, or --model.space words")
        require(self.dim % self.heads == 0, "heads", self.heads, f"a divisor of dim, {self.dim}")


@dataclass(frozen=True)
class LossConfig:
    """L_all = L_n + L_p + L_r; not in the paper: a cross-entropy, a penalty on firing rates."""

    triplet: bool = True
    """Use the triplet loss L_n, eq. (13)."""
    projection: bool = True
    """Use the projection loss L_p, eq. (14)."""
    reconstruction: bool = True
    """Use the reconstruction loss L_r, eq. (15)."""
    margin: Positive = 1.0
    """Margin γ of the triplet loss, eq. (13)."""
    softmax: NotNegative = 0.0
    """Weight of a cross-entropy over the training classes, with logits −d²/2τ of the distances d
    between clip and words; it is not in the paper."""
    temperature: Positive = 0.1
    """Temperature τ of that cross-entropy."""
    rate_limit: Annotated[float, Interval(gt=0, le=1)] = 0.2
    """Firing rate above which a spiking layer is penalised; 1 disables the penalty."""
    rate_weight: NotNegative = 10.0
    """Weight of the firing-rate penalty."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        on = self.triplet or self.projection or self.reconstruction or self.softmax > 0
        require(
            on, "loss", "all off", "at least one of triplet, projection, reconstruction, softmax"
        )
