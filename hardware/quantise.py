"""From real parameters to Loihi's integers: exact when they lie on power-of-two grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.errors import UserError
from hardware.network import Network, Population, check_inputs

WEIGHT_LIMIT = 127  # 8 bits; doubled, since Lava keeps only even integers of mixed signs
INPUT_LIMIT = (1 << 15) - 1  # finer inputs make units that a threshold of 17 bits cannot count
MESSAGE_LIMIT = (1 << 23) - 1  # graded spikes carry at most 24 bits
FINEST_EXPONENT = 24  # finer grids than 2**-24 are not looked for
VTH_LIMIT = (1 << 17) - 1
BIAS_LIMIT = 4095  # 13 bits, signed
EXPONENT_LIMIT = 7
STATE_SCALE = 64


@dataclass(frozen=True)
class IntegerSynapses:
    """a += (weight · x) << weight_exp; weight (N, M) int64, even where signs are mixed."""

    source: str
    weight: np.ndarray
    weight_exp: int
    graded: bool


@dataclass(frozen=True)
class IntegerPopulation:
    """Parameters of Lava's fixed-point LIF; unit = graph's units in one unit of a."""

    name: str
    synapses: tuple[IntegerSynapses, ...]
    bias_mant: np.ndarray
    bias_exp: int
    dv: int
    vth: int
    unit: float

    @property
    def size(self) -> int:
        """Number of neurons N."""
        return len(self.bias_mant)


@dataclass(frozen=True)
class IntegerNetwork:
    """A network in integers; `notes` says, in order, everything that had to be rounded."""

    source: Network
    populations: tuple[IntegerPopulation, ...]
    input_grids: dict[str, float]
    notes: tuple[str, ...]


def grid_of(values: np.ndarray, limit: int) -> float | None:
    """The coarsest power of two s with values = k·s, k integers, |k| <= limit; else None."""
    if not values.any():
        return 1.0
    for exponent in range(-FINEST_EXPONENT, FINEST_EXPONENT + 1):
        k = values * 2.0**exponent
        if np.abs(k).max() > limit:
            return None
        if (k == np.round(k)).all():
            return 2.0**-exponent
    return None


def nearest_grid(values: np.ndarray, limit: int) -> float:
    """The finest power of two s with |values| <= limit·s: for values on no exact grid."""
    return float(2.0 ** np.ceil(np.log2(np.abs(values).max() / limit)))


def input_grids(inputs: dict[str, np.ndarray]) -> dict[str, float]:
    """For each input the grid of 16 bits that its values lie on, else the nearest of 8 bits."""
    return {
        name: grid_of(x, INPUT_LIMIT) or nearest_grid(x, WEIGHT_LIMIT) for name, x in inputs.items()
    }


def input_notes(inputs: dict[str, np.ndarray], grids: dict[str, float]) -> list[str]:
    """What rounding to their grids changes in the inputs, in words; empty on the grid."""
    errors = {
        n: float(np.abs(x - np.round(x / grids[n]) * grids[n]).max()) for n, x in inputs.items()
    }
    return [
        f"input {n!r} rounded to multiples of {grids[n]:g}, by up to {error:.3g}"
        for n, error in errors.items()
        if error
    ]


def to_integers(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs (B, S, width) in units of their grids, int64, rounded half to even.

    Raises:
        UserError: a value needs more than 24 bits, or could overflow Lava's 32-bit sums.
    """
    check_inputs(network.source, inputs)
    signals = {}
    for name in network.source.inputs:
        scaled = np.round(inputs[name] / network.input_grids[name])
        if np.abs(scaled).max() > MESSAGE_LIMIT:
            raise UserError(
                f"input {name!r} reaches {np.abs(scaled).max():g} units of its grid, "
                f"expected at most {MESSAGE_LIMIT} (24 bits)"
            )
        signals[name] = scaled.astype(np.int64)
    for p in network.populations:
        bound = np.zeros(p.size)
        for s in p.synapses:
            peak = np.abs(signals[s.source]).max() if s.source in signals else 1
            bound += (np.abs(s.weight).sum(1) * peak).astype(float) * 2**s.weight_exp
        # Lava computes in int32 without checking; u itself wraps at 24 bits and is counted.
        if bound.max() * STATE_SCALE >= 2**31:
            raise UserError(
                f"{p.name}: its input could reach {bound.max():g}, expected below "
                f"{2**31 // STATE_SCALE} (Lava adds in 32 bits)"
            )
    return signals


def quantise(network: Network, grids: dict[str, float]) -> IntegerNetwork:
    """Loihi's integers for a network.

    With w = k·s, inputs x = n·g (g = 1 for spikes) and e = 2 where the signs of k are mixed,
    else 1: the unit of a population is the smallest s·g/e of its synapses that are not all
    zero, and weight = e·k, weight_exp = log2(s·g / (e·unit)), both refined (2·k, exponent − 1)
    while the exponent is above 7 and k below 8 bits; vth = floor(v_threshold / unit) (so that
    v > vth and v > v_threshold agree on the grid), dv = 4096·decay,
    bias_mant << bias_exp = 64·bias / unit. Weights on no grid are rounded to the nearest
    8-bit one, or to one of at least 5 bits that the threshold and bias can be counted in, and
    `notes` says so.

    Args:
        network: a lowered graph with v_leak = v_reset = 0, unit gain, and one decay and one
            threshold for each population: what Lava's LIF can express.
        grids: power-of-two grid of each input, see `input_grids`.

    Raises:
        UserError: names the population and the range that Lava would not check.
    """
    notes: list[str] = []
    populations = tuple(_population(p, grids, notes) for p in network.populations)
    return IntegerNetwork(network, populations, dict(grids), tuple(notes))


def check_expressible(p: Population) -> None:
    """Refuse what Lava's LIF cannot express, with the node's name and the reason."""
    for field, needed in (("v_leak", 0.0), ("v_reset", 0.0), ("gain", 1.0)):
        values = getattr(p, field)
        if (values != needed).any():
            what = "r·dt/tau" if field == "gain" else field
            raise UserError(
                f"{p.name}: {what} = {values[values != needed][0]:g}, Lava's LIF needs {needed:g}"
            )
    for field in ("decay", "v_threshold"):
        values = getattr(p, field)
        if (values != values[0]).any():
            raise UserError(
                f"{p.name}: {field} runs from {values.min():g} to {values.max():g}, "
                "Lava's LIF has one for all its neurons"
            )


def _population(p: Population, grids: dict[str, float], notes: list[str]) -> IntegerPopulation:
    check_expressible(p)
    scaled, needed = [], _needed_unit(p)
    for s in p.synapses:
        step = grid_of(s.weight, WEIGHT_LIMIT)
        if step is None:
            nearest = nearest_grid(s.weight, WEIGHT_LIMIT)
            step = min(max(nearest, 2 * needed / grids.get(s.source, 1.0)), 8 * nearest)
            error = np.abs(s.weight - np.round(s.weight / step) * step).max()
            notes.append(
                f"{s.nodes}: weights rounded to multiples of {step:g}, by up to {error:.3g}"
            )
        k = np.round(s.weight / step).astype(np.int64)
        even = 2 if (k > 0).any() and (k < 0).any() else 1
        scaled.append((s, k * even, step * grids.get(s.source, 1.0) / even))
    unit = min((one for _, k, one in scaled if k.any()), default=needed)
    synapses = []
    for s, k, one in scaled:
        k, exponent = _shift(k, round(np.log2(one / unit)), s.nodes) if k.any() else (k, 0)
        synapses.append(IntegerSynapses(s.source, k, exponent, s.source in grids))
    bias_mant, bias_exp = _bias(p, unit, notes)
    return IntegerPopulation(
        p.name, tuple(synapses), bias_mant, bias_exp, _decay(p, notes), _threshold(p, unit), unit
    )


def _needed_unit(p: Population) -> float:
    """The finest power of two that threshold and bias can be counted in."""
    bias = np.abs(p.bias).max() * STATE_SCALE / (BIAS_LIMIT << EXPONENT_LIMIT)
    return float(2.0 ** np.ceil(np.log2(max(p.v_threshold[0] / VTH_LIMIT, bias))))


def _shift(k: np.ndarray, exponent: int, nodes: str) -> tuple[np.ndarray, int]:
    """The same weights with an exponent of at most 7: k << exponent."""
    # |k| may reach 254 where signs are mixed: then k is twice an integer of 8 bits.
    limit = WEIGHT_LIMIT * (2 if (k > 0).any() and (k < 0).any() else 1)
    while exponent > EXPONENT_LIMIT and 2 * np.abs(k).max() <= limit:
        k, exponent = 2 * k, exponent - 1
    if exponent > EXPONENT_LIMIT:
        raise UserError(f"{nodes}: needs the weight exponent {exponent}, at most {EXPONENT_LIMIT}")
    return k, exponent


def _decay(p: Population, notes: list[str]) -> int:
    dv = round(float(p.decay[0]) * 4096)
    if not 0 <= dv <= 4095:
        raise UserError(f"{p.name}: decay {p.decay[0]:g} is {dv}/4096, at most 4095/4096")
    if dv != p.decay[0] * 4096:
        notes.append(f"{p.name}: decay {p.decay[0]:.6g} rounded to {dv}/4096")
    return dv


def _threshold(p: Population, unit: float) -> int:
    vth = int(np.floor(p.v_threshold[0] / unit))
    if not 0 < vth <= VTH_LIMIT:
        raise UserError(
            f"{p.name}: threshold {p.v_threshold[0]:g} is {vth} units of {unit:g}, "
            f"expected 1 to {VTH_LIMIT} (17 bits)"
        )
    return vth


def _bias(p: Population, unit: float, notes: list[str]) -> tuple[np.ndarray, int]:
    target = p.bias * STATE_SCALE / unit
    for exponent in range(EXPONENT_LIMIT, -1, -1):
        mant = target / 2**exponent
        if (mant == np.round(mant)).all() and np.abs(mant).max() <= BIAS_LIMIT:
            return mant.astype(np.int64), exponent
    needed = max(0, int(np.ceil(np.log2(max(np.abs(target).max() / BIAS_LIMIT, 1.0)))))
    if needed > EXPONENT_LIMIT:
        raise UserError(
            f"{p.name}: bias {np.abs(p.bias).max():g} is {np.abs(target).max():g} "
            f"membrane units, expected at most {BIAS_LIMIT << EXPONENT_LIMIT}"
        )
    mant = np.round(target / 2**needed)
    error = np.abs(mant * 2**needed - target).max() * unit / STATE_SCALE
    notes.append(f"{p.name}: bias rounded by up to {error:.3g}")
    return mant.astype(np.int64), needed
