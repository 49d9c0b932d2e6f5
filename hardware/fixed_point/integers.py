"""A network in the integers of Lava's fixed point, and its inputs in the same integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hardware.graph.matrices import Matrix, added, mapped, row_sums_of_magnitudes, transposed
from hardware.graph.network import Network, check_inputs, constants
from mdft.errors import UserError

MESSAGE_LIMIT = (1 << 23) - 1  # graded spikes carry at most 24 bits
STATE_SCALE = 64  # synaptic input and threshold are aligned 6 bits to the left
STATE_LIMIT = 1 << 23  # u and v have 24 bits, signed
WEIGHT_LIMIT = 127  # 8 bits; doubled, since Lava keeps only even integers of mixed signs
MAGNITUDE_LIMIT = 255  # 8 bits, where all weights have one sign
EXPONENT_LIMIT = 7
VTH_LIMIT = (1 << 17) - 1
BIAS_LIMIT = 4095  # 13 bits, signed


@dataclass(frozen=True)
class IntegerSynapses:
    """a(t) += (weight · x(t − delay)) << weight_exp; weight (N, M) int64, dense or sparse.

    Its values are even numbers if signs are mixed.
    """

    source: str
    weight: Matrix
    weight_exp: int
    graded: bool
    delay: int = 0


@dataclass(frozen=True)
class IntegerPopulation:
    """Parameters of Lava's fixed-point LIF; `unit` is the value of one unit of a in the graph.

    du = 4095 is a current without memory. du, dv and vth are numbers, or (N,) int64 where neurons
    differ. A population that does not `fire` has a threshold
    that the membrane cannot reach; its output is its membrane.
    """

    name: str
    synapses: tuple[IntegerSynapses, ...]
    bias_mant: np.ndarray
    bias_exp: int
    dv: int | np.ndarray
    vth: int | np.ndarray
    unit: float
    du: int | np.ndarray = 4095
    fires: bool = True
    subtracts: bool = False

    @property
    def size(self) -> int:
        """Number of neurons N."""
        return len(self.bias_mant)

    @cached_property
    def columns(self) -> dict[tuple[str, int], Matrix]:
        """(source, delay) → the sum of its synapses weight << weight_exp, transposed, (M, N)."""
        total: dict[tuple[str, int], Matrix] = {}
        for s in self.synapses:
            key, weight = (s.source, s.delay), mapped(s.weight, lambda k, e=s.weight_exp: k << e)
            total[key] = added(total[key], weight) if key in total else weight
        return {key: transposed(weight) for key, weight in total.items()}

    @cached_property
    def reach(self) -> list[tuple[str, np.ndarray]]:
        """For each of the synapses, its source and Σ_j |weight_ij| << weight_exp, (N,)."""
        return [
            (s.source, row_sums_of_magnitudes(s.weight).astype(float) * 2**s.weight_exp)
            for s in self.synapses
        ]


@dataclass(frozen=True)
class IntegerNetwork:
    """A network in integers; `notes` lists everything that was rounded, in order.

    A threshold is listed if rounding changes it by more than 1/256: it may lie off the grid on
    purpose.
    """

    source: Network
    populations: tuple[IntegerPopulation, ...]
    input_grids: dict[str, float]
    notes: tuple[str, ...]

    @property
    def membrane_units(self) -> dict[str, float]:
        """Size of one unit of a membrane in the graph's units, by population."""
        return {p.name: p.unit / STATE_SCALE for p in self.populations}

    @property
    def membrane_offsets(self) -> dict[str, np.ndarray]:
        """The graph's v at a membrane of 0, (N,), of the populations where it is not 0."""
        resets = {p.name: p.v_reset for p in self.source.populations if not p.subtracts}
        return {name: v_N for name, v_N in resets.items() if v_N.any()}


def to_integers(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return inputs (B, S, width) in units of their grids, int64, rounded half to even.

    The result also has the constant inputs that `hardware.fixed_point.lava_form` added, if any.

    Raises:
        UserError: a value needs more than 24 bits, or could overflow Lava's 32-bit sums.
    """
    batch, steps = check_inputs(network.source, inputs)
    signals: dict[str, np.ndarray] = {}
    for name in network.source.inputs:
        scaled = np.round(inputs[name] / network.input_grids[name])
        if np.abs(scaled).max() > MESSAGE_LIMIT:
            raise UserError(
                f"input {name!r} reaches {np.abs(scaled).max():g} units of its grid, "
                f"expected at most {MESSAGE_LIMIT} (24 bits)"
            )
        signals[name] = scaled.astype(np.int64)
    for name, x in constants(network.populations, batch, steps).items():
        signals[name] = x.astype(np.int64)
    peaks = {name: float(np.abs(x).max()) for name, x in signals.items()}
    for p in network.populations:
        bound = np.zeros(p.size)
        for source, sums in p.reach:
            bound += sums * peaks.get(source, 1.0)
        # Lava computes in int32 without checking; u itself wraps at 24 bits and is counted.
        memory = 0 if np.all(p.du == 4095) else STATE_LIMIT
        if bound.max() * STATE_SCALE + memory >= 2**31:
            raise UserError(
                f"{p.name}: its input could reach {bound.max():g}, expected below "
                f"{2**31 // STATE_SCALE} (Lava adds in 32 bits)"
            )
    return signals
