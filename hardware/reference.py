"""The oracles: NIR's LIF in floating point, and the integer twin of Lava's fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.network import Network, Population, Recording, check_inputs
from hardware.quantise import IntegerNetwork, IntegerPopulation, to_integers

STATE_LIMIT = 1 << 23  # u and v have 24 bits, signed
STATE_SHIFT = 6  # synaptic input and threshold are aligned 6 bits to the left
DECAY_SHIFT = 12


def lif_step(
    current_BN: np.ndarray, v_BN: np.ndarray, p: Population
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """One step of NIR's LIF, forward Euler.

    v = (1 − decay)·v + decay·v_leak + gain·I;  spike = v > v_threshold (strict);
    the next state is v_reset where it spiked, else v.

    Returns:
        ((spikes, v before the reset), next state), each (B, N) in the dtype of the state.
    """
    kind = v_BN.dtype.type
    rest = (p.decay * p.v_leak).astype(kind)
    u_BN = (1 - p.decay).astype(kind) * v_BN + rest + p.gain.astype(kind) * current_BN
    spike_BN = u_BN > p.v_threshold.astype(kind)
    return (spike_BN, u_BN), np.where(spike_BN, p.v_reset.astype(kind), u_BN)


def reference_float(
    network: Network, inputs: dict[str, np.ndarray], dtype: type = np.float64
) -> Recording:
    """Step the graph in NumPy; the state starts at v_leak's origin 0 for every sample.

    Args:
        network: a lowered graph.
        inputs: (B, S, width) of each input, real numbers.
        dtype: np.float64 or np.float32, of weights, currents and state.

    Returns:
        spikes and membranes before the reset, (B, S, N), by population.
    """
    batch, steps = check_inputs(network, inputs)
    signals = {name: inputs[name].astype(dtype) for name in network.inputs}
    membranes: dict[str, np.ndarray] = {}
    for p in network.populations:
        # No recurrence: the currents of all steps are one matrix product for each source.
        current = np.zeros((batch, steps, p.size), dtype) + p.bias.astype(dtype)
        for synapses in p.synapses:
            current += signals[synapses.source] @ synapses.weight.T.astype(dtype)
        v_BN = np.zeros((batch, p.size), dtype)
        spikes, membrane = np.empty_like(current), np.empty_like(current)
        for t in range(steps):
            (spikes[:, t], membrane[:, t]), v_BN = lif_step(current[:, t], v_BN, p)
        signals[p.name], membranes[p.name] = spikes, membrane
    found = {p.name: signals[p.name].astype(np.uint8) for p in network.populations}
    return Recording(found, membranes, dict.fromkeys(membranes, 1.0), {})


@dataclass(frozen=True)
class _Counts:
    wrapped: int
    clipped: int


def integer_lif_step(
    a_BN: np.ndarray, v_BN: np.ndarray, p: IntegerPopulation
) -> tuple[tuple[np.ndarray, np.ndarray, _Counts], np.ndarray]:
    """One step of Lava's bit-accurate LIF with du = 4095 (no memory of the current).

    u = wrap(a << 6);  v = clip(trunc(v·(4096 − dv) / 4096) + u + (bias_mant << bias_exp),
    ±(2**23 − 1));  spike = v > (vth << 6);  v ← 0 where it spiked. wrap subtracts 2**24 above
    2**23 and adds it at −2**23 and below, once, as Lava does.

    Args:
        a_BN: (B, N) int64 synaptic input.
        v_BN: (B, N) int64 state.
        p: integer parameters.

    Returns:
        ((spikes, v before the reset, how many wrapped and clipped), next state).
    """
    shifted = a_BN << STATE_SHIFT
    u_BN = np.where(shifted > STATE_LIMIT, shifted - 2 * STATE_LIMIT, shifted)
    u_BN = np.where(u_BN <= -STATE_LIMIT, shifted + 2 * STATE_LIMIT, u_BN)
    product = v_BN * ((1 << DECAY_SHIFT) - p.dv)
    leaked = np.sign(product) * (np.abs(product) >> DECAY_SHIFT)
    free = leaked + u_BN + (p.bias_mant << p.bias_exp)
    v_BN = np.clip(free, -STATE_LIMIT + 1, STATE_LIMIT - 1)
    spike_BN = v_BN > (p.vth << STATE_SHIFT)
    counts = _Counts(int((u_BN != shifted).sum()), int((v_BN != free).sum()))
    return (spike_BN, v_BN, counts), np.where(spike_BN, 0, v_BN)


def reference_int(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> Recording:
    """Step the integer network in NumPy, bit for bit what Lava's fixed point does.

    Args:
        network: from `hardware.quantise.quantise`.
        inputs: (B, S, width) real numbers; divided by each input's grid and rounded.

    Returns:
        spikes, and membranes before the reset as int64 in units of `units[population]`;
        counts "wrapped" (24-bit current) and "clipped" (24-bit membrane), of all steps.
    """
    signals = to_integers(network, inputs)
    batch, steps = next(iter(signals.values())).shape[:2]
    membranes: dict[str, np.ndarray] = {}
    wrapped = clipped = 0
    for p in network.populations:
        a = np.zeros((batch, steps, p.size), np.int64)
        for s in p.synapses:
            # float64 is exact below 2**53 and uses BLAS; NumPy's integer product does not.
            product = signals[s.source].astype(np.float64) @ s.weight.T.astype(np.float64)
            a += product.astype(np.int64) << s.weight_exp
        v_BN = np.zeros((batch, p.size), np.int64)
        spikes, membrane = np.empty_like(a), np.empty_like(a)
        for t in range(steps):
            (spikes[:, t], membrane[:, t], counts), v_BN = integer_lif_step(a[:, t], v_BN, p)
            wrapped, clipped = wrapped + counts.wrapped, clipped + counts.clipped
        signals[p.name], membranes[p.name] = spikes, membrane
    found = {p.name: signals[p.name].astype(np.uint8) for p in network.populations}
    units = {p.name: p.unit / (1 << STATE_SHIFT) for p in network.populations}
    return Recording(found, membranes, units, {"wrapped": wrapped, "clipped": clipped})
