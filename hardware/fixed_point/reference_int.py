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
from hardware.graph.matrices import Matrix, is_sparse, times_columns
from hardware.graph.network import Recording, blocks, delayed, is_recurrent
from mdft.errors import UserError

DECAY_SHIFT = 12
FLOAT32_EXACT = 1 << 24  # float32 represents every integer below it exactly

State = tuple[np.ndarray, np.ndarray]


class Neurons:
    """The step of a population's membranes, with its constants prepared."""

    def __init__(self, p: IntegerPopulation) -> None:
        self.kept = np.asarray((1 << DECAY_SHIFT) - p.dv)
        self.kept_u = np.asarray(4095 - p.du)
        self.leaks = bool((self.kept != 1 << DECAY_SHIFT).any())
        self.has_memory = bool(self.kept_u.any())
        self.bias = p.bias_mant << p.bias_exp
        self.has_bias = bool(self.bias.any())
        self.theta = np.asarray(p.vth) * STATE_SCALE
        self.subtracts = p.subtracts

    def step(
        self, u_BN: np.ndarray, v_BN: np.ndarray, membrane_BN: np.ndarray, spike_BN: np.ndarray
    ) -> int:
        """Write the membranes before the reset and the spikes; change v in place.

        Returns:
            The number of clipped membranes.
        """
        np.add(_leak(v_BN, self.kept) if self.leaks else v_BN, u_BN, out=membrane_BN)
        if self.has_bias:
            membrane_BN += self.bias
        clipped = 0
        if membrane_BN.max() >= STATE_LIMIT or membrane_BN.min() <= -STATE_LIMIT:
            clipped = int((np.abs(membrane_BN) >= STATE_LIMIT).sum())
            np.clip(membrane_BN, -STATE_LIMIT + 1, STATE_LIMIT - 1, out=membrane_BN)
        np.greater(membrane_BN, self.theta, out=spike_BN)
        np.copyto(v_BN, membrane_BN)
        if self.subtracts:
            v_BN -= spike_BN * self.theta
        else:
            np.putmask(v_BN, spike_BN, 0)
        return clipped


def integer_lif_step(
    a_BN: np.ndarray, state: State, p: IntegerPopulation
) -> tuple[tuple[np.ndarray, np.ndarray, int, int], State]:
    """One step of Lava's bit-accurate LIF.

    u = wrap(trunc(u·(4095 − du) / 4096) + (a << 6));
    v = clip(trunc(v·(4096 − dv) / 4096) + u + (bias_mant << bias_exp), ±(2**23 − 1));
    spike = v > (vth << 6);  v ← 0 where it spiked, or v − (vth << 6) if the population subtracts.

    Args:
        a_BN: the synaptic input, (B, N) int64.
        state: the current u and the membrane v, (B, N) int64.
        p: the integer parameters.

    Returns:
        ((spikes, v before the reset, number of wrapped u, number of clipped v), next state).
    """
    neurons = Neurons(p)
    u_BN, v_BN = state
    u_BN, wrapped = _wrap(_leak(u_BN, neurons.kept_u) + a_BN * STATE_SCALE)
    v_BN, membrane_BN, spike_BN = v_BN.copy(), np.empty_like(v_BN), np.empty(v_BN.shape, bool)
    clipped = neurons.step(u_BN, v_BN, membrane_BN, spike_BN)
    return (spike_BN, membrane_BN, wrapped, clipped), (u_BN, v_BN)


def _leak(x_BN: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """trunc(x·kept / 4096): a right shift of the magnitude."""
    product = x_BN * kept
    # An arithmetic shift rounds down; adding 4095 to negative numbers makes it round to 0.
    product += (product < 0) * ((1 << DECAY_SHIFT) - 1)
    return product >> DECAY_SHIFT


def _wrap(free: np.ndarray) -> tuple[np.ndarray, int]:
    """Subtract 2**24 above 2**23 and add it at −2**23 and below, once, as Lava does."""
    if free.max() <= STATE_LIMIT and free.min() > -STATE_LIMIT:
        return free, 0
    high, low = free > STATE_LIMIT, free <= -STATE_LIMIT
    return free + 2 * STATE_LIMIT * (low.astype(np.int64) - high), int(high.sum() + low.sum())


def reference_int(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> Recording:
    """Step the integer network in NumPy; the result is bit-equal to Lava's fixed point.

    Args:
        network: the result of `hardware.fixed_point.quantise.quantise`.
        inputs: (B, S, width) real numbers; divided by each input's grid and rounded.

    Returns:
        Spikes; membranes before the reset as int64; their units and offsets; and the counts
        "wrapped" (24-bit currents) and "clipped" (24-bit membranes) over all steps.

    Raises:
        UserError: an input is out of range, or an output membrane exceeds 24 bits.
    """
    signals = to_integers(network, inputs)
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    counts = {"wrapped": 0, "clipped": 0}
    for block in blocks(network.populations):
        run = _together if is_recurrent(block) else _alone
        for name, (spike, membrane) in run(block, signals, counts).items():
            spikes[name], membranes[name] = spike, membrane
        for p in block:
            if p.fires:
                signals[p.name] = spikes[p.name]
            else:
                del spikes[p.name]
                check_readout(p.name, membranes[p.name])
    return Recording(spikes, membranes, network.membrane_units, counts, network.membrane_offsets)


def check_readout(name: str, membranes: np.ndarray) -> None:
    """Check that an output membrane stays below its threshold, where it would be reset.

    The threshold of a population that does not fire is the largest 24-bit number.

    Raises:
        UserError: it does not; the message names the population.
    """
    if np.abs(membranes).max() > STATE_LIMIT - STATE_SCALE:
        raise UserError(f"{name}: its membrane leaves 24 bits; scale the weights before it down")


Signals = dict[str, np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]


def _from_before(p: IntegerPopulation, signals: Signals) -> np.ndarray:
    """Return the synaptic input of signals that are known at all steps, (B, S, N) int64."""
    batch, steps = next(iter(signals.values())).shape[:2]
    a_BSN = None
    for (source, delay), columns in p.columns.items():
        if source in signals:
            product = _product(delayed(signals[source], delay), columns)
            a_BSN = product if a_BSN is None else np.add(a_BSN, product, out=a_BSN)
    return np.zeros((batch, steps, p.size), np.int64) if a_BSN is None else a_BSN


def _alone(
    block: list[IntegerPopulation], signals: Signals, counts: dict[str, int]
) -> dict[str, Pair]:
    """Return spikes uint8 and membranes int64, (B, S, N); add to the counts."""
    (p,) = block
    neurons, u_BSN = Neurons(p), _from_before(p, signals)
    u_BSN *= STATE_SCALE
    if not neurons.has_memory:
        u_BSN, wrapped = _wrap(u_BSN)
        counts["wrapped"] += wrapped
    spikes, membranes = np.empty(u_BSN.shape, bool), np.empty_like(u_BSN)
    u_BN, v_BN = np.zeros_like(u_BSN[:, 0]), np.zeros_like(u_BSN[:, 0])
    for t in range(u_BSN.shape[1]):
        if neurons.has_memory:
            u_BN, wrapped = _wrap(_leak(u_BN, neurons.kept_u) + u_BSN[:, t])
            counts["wrapped"] += wrapped
        else:
            u_BN = u_BSN[:, t]
        counts["clipped"] += neurons.step(u_BN, v_BN, membranes[:, t], spikes[:, t])
    return {p.name: (spikes.view(np.uint8), membranes)}


def _together(
    block: list[IntegerPopulation], signals: Signals, counts: dict[str, int]
) -> dict[str, Pair]:
    """The same for populations with connections in a cycle, step by step."""
    a = {p.name: _from_before(p, signals) for p in block}
    membranes = {name: np.empty_like(x) for name, x in a.items()}
    spikes = {name: np.zeros(x.shape, np.uint8) for name, x in a.items()}
    state = {name: (np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0])) for name, x in a.items()}
    inner = {
        p.name: [(*key, columns) for key, columns in p.columns.items() if key[0] in spikes]
        for p in block
    }
    for t in range(next(iter(a.values())).shape[1]):
        for p in block:
            a_BN = a[p.name][:, t]
            for source, delay, columns in inner[p.name]:
                if t >= delay:
                    a_BN = a_BN + _product(spikes[source][:, t - delay], columns)
            found, state[p.name] = integer_lif_step(a_BN, state[p.name], p)
            spikes[p.name][:, t], membranes[p.name][:, t] = found[:2]
            counts["wrapped"] += found[2]
            counts["clipped"] += found[3]
    return {name: (spikes[name], membranes[name]) for name in spikes}


def _product(x_BSM: np.ndarray, columns_MN: Matrix) -> np.ndarray:
    """Return x·columns in int64; of a dense matrix in floating point: NumPy has no BLAS for ints.

    It is exact in any order of summation: no partial sum exceeds Σ|weight|·max|x|, which float32
    represents exactly below 2**24 and float64 below 2**53.
    """
    if is_sparse(columns_MN):
        return times_columns(x_BSM, columns_MN)
    peak = int(np.abs(x_BSM).max()) if x_BSM.dtype != np.uint8 else 1
    bound = int(np.abs(columns_MN).sum(0).max()) * peak
    kind = np.float32 if bound < FLOAT32_EXACT else np.float64
    return (x_BSM.astype(kind) @ columns_MN.astype(kind)).astype(np.int64)
