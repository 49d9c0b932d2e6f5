"""Constraints of Loihi's integers on a layer: bits of its weights, unit and range of its state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mdft.errors import UserError
from mdft.lif.grid import FEWEST_BITS, GRID, GRID_MAX, MOST_BITS, Arithmetic
from mdft.lif.neuron import LIFParams

#: Lava shifts synaptic input left by 6 bits: the membrane is counted in 64ths of the input's unit.
STATE_SCALE = 64
#: From this magnitude on Lava's current wraps around, and its membrane is clipped.
STATE_LIMIT = 2**23
_AT_ONCE = 2**14  # weights


def largest_multiple(bits: int) -> int:
    """Largest integer k of a weight ``k·s`` with this number of bits: 2^(bits−1) − 1."""
    return 2 ** (bits - 1) - 1


def weight_step(weight_NF: Tensor, bits: int) -> float:
    """The quantisation step s of a layer with weights ``k·s``, ``|k| <= 2^(bits−1) − 1``.

    Among ``GRID · 2^e``, ``0 <= e <= 8 − bits``, it has the smallest squared rounding error over
    the layer; ties go to the finest. The quantised weights lie on the 8-bit grid and within its
    range (with 8 bits s is ``GRID``), so that computations exact for 8 bits are exact for fewer.

    Args:
        weight_NF: weights before rounding.
        bits: number of bits, 2 to 8.
    """
    high, error = largest_multiple(bits), {}
    for step in (GRID * 2**e for e in range(MOST_BITS - bits + 1)):
        rounded_NF = torch.round(weight_NF / step).clamp_(-high, high) * step
        error[step] = (weight_NF - rounded_NF).square().sum(dtype=torch.float64).item()
    return min(error, key=lambda step: error[step])


def state_unit(
    weight_NF: Tensor, input_grid: float, current_grid: float, *, grid: float = GRID
) -> float:
    """The unit of a layer's integer membrane, the same as in ``hardware.fixed_point.quantise``.

    Lava's weights are integers, and even integers if signs are mixed. Let s be the largest power of
    two of which all weights are multiples, and ``e = 2`` for mixed signs, else 1. One unit of
    synaptic input is ``min(s · input_grid / e, current_grid)``; the membrane is counted in 64ths
    of it.

    Args:
        weight_NF: quantised weights, multiples of ``grid``.
        input_grid: grid of the layer's input; 1 for spikes.
        current_grid: grid of the threshold current, whose weights are 0 and 1.
        grid: a power of two.
    """
    values = weight_NF.detach().cpu().numpy().ravel()
    used, low, high = 0, 0, 0
    for start in range(0, values.size, _AT_ONCE):
        k = np.round(values[start : start + _AT_ONCE] / grid).astype(np.int32)
        # The lowest bit of a negative number is that of its magnitude.
        used |= int(np.bitwise_or.reduce(k))
        low, high = min(low, int(k.min())), max(high, int(k.max()))
        if used & 1 and low < 0 < high:  # the finest step, whatever the rest is
            break
    if used == 0:
        return current_grid / STATE_SCALE
    step = grid * (used & -used)
    even = 2 if low < 0 < high else 1
    return min(step * input_grid / even, current_grid) / STATE_SCALE


def state_limit(params: LIFParams) -> float:
    """Exclusive limit on the magnitude of synaptic current and membrane: 2²³ units of the state."""
    assert params.state_unit is not None
    return STATE_LIMIT * params.state_unit


def count_outside(synaptic: Tensor, membranes: Tensor, params: LIFParams) -> int:
    """Count the currents and membranes outside the range of the state; NaN is outside.

    Args:
        synaptic: current without the bias, which Lava adds after the wrap; any shape.
        membranes: membranes before the reset, not clipped; same shape.
        params: parameters with a state unit.
    """
    limit = state_limit(params)
    return sum(int((~(x.detach().abs() < limit)).sum()) for x in (synaptic, membranes))


def check_range(outside: int, params: LIFParams, name: str) -> None:
    """Check that a layer stays within the range of Loihi's state.

    Args:
        outside: result of :func:`count_outside`.
        params: parameters with a state unit.
        name: name of the layer in the error message.

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
    """Raise a ValueError unless the number of bits of a weight is 2 to 8."""
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ValueError(f"weight_bits is {bits}, expected {FEWEST_BITS} to {MOST_BITS}")


def check_beta(beta: float, arithmetic: Arithmetic) -> None:
    """Raise a ValueError for β = 0 in integers: Loihi's decay is at most 4095/4096."""
    if arithmetic == "loihi" and beta == 0:
        raise ValueError("beta is 0, expected more than 0 with arithmetic loihi")


#: Weight gradients are passed within the 8-bit range, whatever the number of bits: otherwise a
#: weight outside the range of its own bits would never return.
WINDOW = (-GRID_MAX * GRID, GRID_MAX * GRID)
