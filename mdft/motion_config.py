"""Configuration of the spiking motion branch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from mdft.errors import require
from mdft.loihi import FEWEST_BITS, MOST_BITS, Arithmetic
from mdft.motion import DECAY_STEPS
from mdft.neuron import GRID
from mdft.threshold import ThresholdMode


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
