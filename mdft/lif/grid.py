"""The grids of weights, inputs, decays and thresholds, and the arithmetics; free of torch."""

from __future__ import annotations

from typing import Literal

#: Weights, biases and threshold offsets are integer multiples of this. On the grid a float32
#: sum is exact in any order, so every simulator computes the same current.
GRID = 2.0**-6
#: Largest multiple of the grid: even 8-bit integers ±254 after doubling (Loihi's mixed mode).
GRID_MAX = 127
#: Inputs are 8-bit graded spikes: sixteenths, saturating at 255.
INPUT_GRID = 2.0**-4
INPUT_MAX = 255
#: θ0 sits this far above the grid, so that ``>`` and ``>=`` agree but for one chance in millions:
#: a leak halves the grid of the membrane, and only after 13 of them, without a spike between, can
#: a membrane equal θ0. The last bit of float32 makes it so; from θ0 = 2 on float32 has no such bit,
#: and from 64 on no offset.
THRESHOLD_OFFSET = GRID / 4096 + 2.0**-23
#: β is a multiple of one over this.
DECAY_STEPS = 32
#: float: real membranes; loihi: those of Lava's fixed-point LIF, integers of 24 bits.
Arithmetic = Literal["float", "loihi"]
#: Bits that a weight may have, its sign among them.
FEWEST_BITS, MOST_BITS = 2, 8
