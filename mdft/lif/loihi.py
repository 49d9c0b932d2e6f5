"""What Loihi's integers ask of a layer: bits of its weights, unit and range of its state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mdft.errors import UserError
from mdft.lif.grid import FEWEST_BITS, GRID, GRID_MAX, MOST_BITS, Arithmetic
from mdft.lif.neuron import LIFParams

#: Lava shifts synaptic input 6 bits to the left: the membrane counts in 64ths of its unit.
STATE_SCALE = 64
#: Lava's current wraps from here on, and its membrane is clipped.
STATE_LIMIT = 2**23


def largest_multiple(bits: int) -> int:
    """Largest k of a weight ``k·s`` of so many bits: 2^(bits−1) − 1."""
    return 2 ** (bits - 1) - 1


def weight_step(weight_NF: Tensor, bits: int) -> float:
    """The step s of a layer whose weights act as ``k·s``, ``|k| <= 2^(bits−1) − 1``.

    Of ``GRID · 2^e``, ``0 <= e <= 8 − bits``, the one with the least squared rounding error over
    the layer; the finest of equals. All these weights lie on the grid of 8 bits and within its
    range, and with 8 bits s is ``GRID``: what is exact for 8 bits is exact for fewer.

    Args:
        weight_NF: before rounding.
        bits: 2 to 8.
    """
    high, error = largest_multiple(bits), {}
    for step in (GRID * 2**e for e in range(MOST_BITS - bits + 1)):
        rounded_NF = torch.round(weight_NF / step).clamp_(-high, high) * step
        error[step] = (weight_NF - rounded_NF).square().sum(dtype=torch.float64).item()
    return min(error, key=lambda step: error[step])


def state_unit(weight_NF: Tensor, input_grid: float, current_grid: float) -> float:
    """The unit of a layer's integer membrane, as ``hardware.fixed_point.quantise`` chooses it.

    Lava's weights are integers, and even ones where signs are mixed. With s the coarsest power of
    two of which all weights are multiples and ``e = 2`` for mixed signs, else 1, an integer of
    synaptic input stands for ``min(s · input_grid / e, current_grid)``; the membrane counts in
    64ths of that.

    Args:
        weight_NF: multiples of ``GRID``, as they act.
        input_grid: of the layer's input; 1 for spikes.
        current_grid: of the threshold current, whose weights are 0 and 1.
    """
    k_NF = np.round(weight_NF.detach().cpu().numpy() / GRID).astype(np.int32)
    used = int(np.bitwise_or.reduce(np.abs(k_NF), axis=None))
    if used == 0:
        return current_grid / STATE_SCALE
    step = GRID * (used & -used)
    even = 2 if k_NF.min() < 0 < k_NF.max() else 1
    return min(step * input_grid / even, current_grid) / STATE_SCALE


def state_limit(params: LIFParams) -> float:
    """Magnitude that synaptic current and membrane must stay below: 2²³ units of the state."""
    assert params.state_unit is not None
    return STATE_LIMIT * params.state_unit


def count_outside(synaptic: Tensor, membranes: Tensor, params: LIFParams) -> int:
    """How many currents and membranes leave the range of the state; NaN does.

    Args:
        synaptic: current without the bias, which Lava adds behind the wrap; any shape.
        membranes: before the reset and without any clip; of that shape.
        params: with a state unit.
    """
    limit = state_limit(params)
    return sum(int((~(x.detach().abs() < limit)).sum()) for x in (synaptic, membranes))


def check_range(outside: int, params: LIFParams, name: str) -> None:
    """Refuse a layer that Loihi's state cannot hold.

    Args:
        outside: of :func:`count_outside`.
        params: with a state unit.
        name: of the layer.

    Raises:
        UserError: ``outside`` is not 0.
    """
    if outside:
        raise UserError(
            f"{name}: {outside} currents and membranes reach ±{state_limit(params):g}, expected "
            f"below, the range of Loihi's 24-bit state in units of {params.state_unit:g}; lower "
            "the learning rate or the inputs, or train with arithmetic float"
        )


def check_bits(bits: int) -> None:
    """Raise a ValueError for a number of bits that weights cannot have."""
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ValueError(f"weight_bits is {bits}, expected {FEWEST_BITS} to {MOST_BITS}")


def check_beta(beta: float, arithmetic: Arithmetic) -> None:
    """Raise a ValueError for β = 0 in integers: Loihi's decay is at most 4095/4096."""
    if arithmetic == "loihi" and beta == 0:
        raise ValueError("beta is 0, expected more with arithmetic loihi: it cannot forget at once")


#: Gradients of weights pass within the range of 8 bits, however few bits they act with: a weight
#: beyond the range of its own bits would stay there for ever.
WINDOW = (-GRID_MAX * GRID, GRID_MAX * GRID)
