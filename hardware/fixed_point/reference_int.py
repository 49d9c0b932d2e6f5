"""The fixed-point reference: Lava's bit-accurate models in NumPy integers."""

from __future__ import annotations

import numpy as np

from hardware.fixed_point.integers import (
    STATE_LIMIT,
    STATE_SCALE,
    IntegerNetwork,
    IntegerPopulation,
    to_integers,
)
from hardware.graph.network import Recording
from mdft.errors import UserError

DECAY_SHIFT = 12
FLOAT32_EXACT = 1 << 24  # float32 represents every integer below it exactly

State = tuple[np.ndarray, np.ndarray]


def integer_lif_step(
    a_BN: np.ndarray, state: State, p: IntegerPopulation
) -> tuple[tuple[np.ndarray, np.ndarray, int, int], State]:
    """One step of Lava's bit-accurate LIF.

    u = wrap(trunc(u·(4095 − du) / 4096) + (a << 6));
    v = clip(trunc(v·(4096 − dv) / 4096) + u + (bias_mant << bias_exp), ±(2**23 − 1));
    spike = v > (vth << 6);  v ← 0 where it spiked.

    Args:
        a_BN: the synaptic input, (B, N) int64.
        state: the current u and the membrane v, (B, N) int64.
        p: the integer parameters.

    Returns:
        ((spikes, v before the reset, number of wrapped u, number of clipped v), next state).
    """
    u_BN, v_BN = state
    u_BN, wrapped = _wrap(_leak(u_BN, 4095 - p.du) + a_BN * STATE_SCALE)
    free = _leak(v_BN, (1 << DECAY_SHIFT) - p.dv) + u_BN + (p.bias_mant << p.bias_exp)
    membrane_BN = np.clip(free, -STATE_LIMIT + 1, STATE_LIMIT - 1)
    clipped = int((membrane_BN != free).sum())
    spike_BN = membrane_BN > p.vth * STATE_SCALE
    v_BN = np.where(spike_BN, 0, membrane_BN)
    return (spike_BN, membrane_BN, wrapped, clipped), (u_BN, v_BN)


def _leak(x_BN: np.ndarray, kept: int) -> np.ndarray | int:
    """trunc(x·kept / 4096): a right shift of the magnitude."""
    if not kept:
        return 0
    product = x_BN * kept
    # An arithmetic shift rounds down; adding 4095 to negative numbers makes it round to 0.
    product += (product < 0) * ((1 << DECAY_SHIFT) - 1)
    return product >> DECAY_SHIFT


def _wrap(free: np.ndarray) -> tuple[np.ndarray, int]:
    """Subtract 2**24 above 2**23 and add it at −2**23 and below, once, as Lava does."""
    high, low = free > STATE_LIMIT, free <= -STATE_LIMIT
    wrapped = int(high.sum() + low.sum())
    if wrapped:
        free = free + 2 * STATE_LIMIT * (low.astype(np.int64) - high)
    return free, wrapped


def reference_int(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> Recording:
    """Step the integer network in NumPy; the result is bit-equal to Lava's fixed point.

    Args:
        network: the result of `hardware.fixed_point.quantise.quantise`.
        inputs: (B, S, width) real numbers; divided by each input's grid and rounded.

    Returns:
        Spikes; membranes before the reset as int64 in units of `units[population]` (relative to
        v_reset, if the graph has one); and the counts "wrapped" (24-bit currents) and "clipped"
        (24-bit membranes) over all steps.

    Raises:
        UserError: an input is out of range, or an output membrane exceeds 24 bits.
    """
    signals = to_integers(network, inputs)
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    counts = {"wrapped": 0, "clipped": 0}
    for p in network.populations:
        spike, membranes[p.name] = _integer_population(p, signals, counts)
        if p.fires:
            signals[p.name] = spikes[p.name] = spike
        else:
            check_readout(p.name, membranes[p.name])
    return Recording(spikes, membranes, network.membrane_units, counts)


def check_readout(name: str, membranes: np.ndarray) -> None:
    """Check that an output membrane stays below its threshold, where it would be reset.

    The threshold of a population that does not fire is the largest 24-bit number.

    Raises:
        UserError: it does not; the message names the population.
    """
    if np.abs(membranes).max() > STATE_LIMIT - STATE_SCALE:
        raise UserError(f"{name}: its membrane leaves 24 bits; scale the weights before it down")


def _integer_population(
    p: IntegerPopulation, signals: dict[str, np.ndarray], counts: dict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes uint8 and membranes int64, (B, S, N); add to the counts."""
    a_BSN = sum(_product(signals[s.source], s.weight) << s.weight_exp for s in p.synapses)
    assert isinstance(a_BSN, np.ndarray)
    spikes, membranes = np.empty(a_BSN.shape, np.uint8), np.empty_like(a_BSN)
    state = (np.zeros_like(a_BSN[:, 0]), np.zeros_like(a_BSN[:, 0]))
    for t in range(a_BSN.shape[1]):
        (spikes[:, t], membranes[:, t], wrapped, clipped), state = integer_lif_step(
            a_BSN[:, t], state, p
        )
        counts["wrapped"] += wrapped
        counts["clipped"] += clipped
    return spikes, membranes


def _product(x_BSM: np.ndarray, weight_NM: np.ndarray) -> np.ndarray:
    """Return x·weightᵀ in int64, computed in floating point: NumPy has no BLAS for integers.

    It is exact in any order of summation: no partial sum exceeds Σ|weight|·max|x|, which float32
    represents exactly below 2**24 and float64 below 2**53.
    """
    peak = int(np.abs(x_BSM).max()) if x_BSM.dtype != np.uint8 else 1
    bound = int(np.abs(weight_NM).sum(1).max()) * peak
    kind = np.float32 if bound < FLOAT32_EXACT else np.float64
    return (x_BSM.astype(kind) @ weight_NM.T.astype(kind)).astype(np.int64)
