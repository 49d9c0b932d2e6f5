"""The grids of weights, inputs, decays and thresholds, and the arithmetics; free of torch."""

from __future__ import annotations

from typing import Literal

#: Weights, biases and threshold offsets are integer multiples of this. On the grid a float32
#: sum is exact in any order, so every simulator computes the same current.
GRID = 2.0**-6
#: Largest multiple of the grid: even 8-bit integers ±254 after doubling (Loihi's mixed mode).
GRID_MAX = 127
#: Inputs are 8-bit graded spikes: integer multiples of 1/16, saturating at 255/16.
INPUT_GRID = 2.0**-4
INPUT_MAX = 255
#: θ0 is this far above the grid, so that ``>`` and ``>=`` practically always agree: each leak
#: halves the grid of the membrane, and only after 13 leaks without a spike can a membrane equal θ0.
#: This relies on the last bit of float32, which is too coarse for it from θ0 = 2 on; from θ0 = 64
#: on the offset is lost entirely.
THRESHOLD_OFFSET = GRID / 4096 + 2.0**-23
#: β is a multiple of one over this.
DECAY_STEPS = 32
#: float: floating-point membranes; loihi: 24-bit integer membranes, as Lava's fixed-point LIF.
Arithmetic = Literal["float", "loihi"]
#: Smallest and largest number of bits of a weight, sign included.
FEWEST_BITS, MOST_BITS = 2, 8
