"""The floating-point reference: NIR's equations in forward Euler, in NumPy."""

from __future__ import annotations

import numpy as np

from hardware.graph.matrices import times
from hardware.graph.network import (
    UNCHECKED,
    Current,
    Network,
    Population,
    Recording,
    blocks,
    check_inputs,
    check_range,
    constants,
    delayed,
    is_recurrent,
)


def lif_step(
    current_BN: np.ndarray, v_BN: np.ndarray, p: Population
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """One step of NIR's LIF, forward Euler.

    v = (1 − decay)·v + decay·v_leak + gain·I;  spike = v > v_threshold (strict);
    the next state is v_reset (or v − v_threshold) where it spiked, else v.

    Returns:
        ((spikes, v before the reset), next state), each (B, N) in the dtype of the state.
    """
    kind = v_BN.dtype.type
    rest = (p.decay * p.v_leak).astype(kind)
    u_BN = (1 - p.decay).astype(kind) * v_BN + rest + p.gain.astype(kind) * current_BN
    spike_BN = u_BN > p.v_threshold.astype(kind)
    if p.subtracts:
        return (spike_BN, u_BN), np.where(spike_BN, u_BN - p.v_threshold.astype(kind), u_BN)
    return (spike_BN, u_BN), np.where(spike_BN, p.v_reset.astype(kind), u_BN)


def reference_float(
    network: Network, inputs: dict[str, np.ndarray], dtype: type = np.float64
) -> Recording:
    """Step the graph in NumPy; every state starts at 0 for every sample.

    Args:
        network: a lowered graph.
        inputs: real numbers (B, S, width), by input name.
        dtype: the dtype of weights, currents and state, np.float64 or np.float32.

    Returns:
        Spikes and membranes before the reset, (B, S, N), by population.

    Raises:
        UserError: an input is not as `check_inputs` expects it, or a membrane overflows the dtype.
    """
    batch, steps = check_inputs(network, inputs)
    signals = {name: inputs[name].astype(dtype) for name in network.inputs}
    for name, x in constants(network.populations, batch, steps).items():
        signals[name] = x.astype(dtype)
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    for block in blocks(network.populations):
        with np.errstate(**UNCHECKED):
            found = (_together if is_recurrent(block) else _alone)(block, signals, batch, steps)
        for p in block:
            spike, membranes[p.name] = found[p.name]
            check_range(p.name, membranes[p.name])
            signals[p.name] = spike if p.fires else membranes[p.name]
            if p.fires:
                spikes[p.name] = spike.astype(np.uint8)
    return Recording(spikes, membranes, dict.fromkeys(membranes, 1.0), {})


Signals = dict[str, np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]


def _from_before(p: Population, signals: Signals, batch: int, steps: int) -> np.ndarray:
    """Return the bias and what signals that are known at all steps bring, (B, S, N)."""
    kind = next(iter(signals.values())).dtype
    current = np.zeros((batch, steps, p.size), kind) + p.bias.astype(kind)
    for s in p.synapses:
        if s.source in signals:
            x = signals[s.source]
            current += times(delayed(x.astype(kind, copy=False), s.delay), s.weight)
    return current


def _alone(block: list[Population], signals: Signals, batch: int, steps: int) -> dict[str, Pair]:
    """Return spikes and membranes (B, S, N) of a population without a connection to itself."""
    # One matrix product per source gives the currents of all steps.
    (p,) = block
    current = _from_before(p, signals, batch, steps)
    if p.current is not None:
        current = _with_memory(current, p.current.decay, p.current.gain)
    v_BN = np.zeros_like(current[:, 0])
    spike, membrane = np.empty(current.shape, bool), np.empty_like(current)
    for t in range(steps):
        (spike[:, t], membrane[:, t]), v_BN = lif_step(current[:, t], v_BN, p)
    return {p.name: (spike, membrane)}


def _together(block: list[Population], signals: Signals, batch: int, steps: int) -> dict[str, Pair]:
    """Return spikes and membranes of populations with connections in a cycle, step by step.

    What they sent at all earlier steps is kept, so that any delay is an index.
    """
    current = {p.name: _from_before(p, signals, batch, steps) for p in block}
    membrane = {name: np.zeros_like(x) for name, x in current.items()}
    sent = {name: np.zeros_like(x) for name, x in current.items()}
    v = {name: np.zeros_like(x[:, 0]) for name, x in current.items()}
    u = dict(v)
    inner = {p.name: [s for s in p.synapses if s.source in sent] for p in block}
    for t in range(steps):
        for p in block:
            total_BN = current[p.name][:, t]
            for s in inner[p.name]:
                if t >= s.delay:
                    total_BN = total_BN + times(sent[s.source][:, t - s.delay], s.weight)
            if p.current is not None:
                total_BN = u[p.name] = _current_step(total_BN, u[p.name], p.current)
            (spike, membrane[p.name][:, t]), v[p.name] = lif_step(total_BN, v[p.name], p)
            sent[p.name][:, t] = spike if p.fires else membrane[p.name][:, t]
    return {p.name: (sent[p.name] != 0, membrane[p.name]) for p in block}


def _current_step(current_BN: np.ndarray, u_BN: np.ndarray, c: Current) -> np.ndarray:
    """u(t) = (1 − decay)·u(t − 1) + gain·I(t): the membrane sees the new u, as in Lava."""
    kind = current_BN.dtype.type
    return (1 - c.decay).astype(kind) * u_BN + c.gain.astype(kind) * current_BN


def _with_memory(current_BSN: np.ndarray, decay: np.ndarray, gain: np.ndarray) -> np.ndarray:
    kind = current_BSN.dtype.type
    kept, gain = (1 - decay).astype(kind), gain.astype(kind)
    u_BSN = np.empty_like(current_BSN)
    u_BN = np.zeros_like(current_BSN[:, 0])
    for t in range(current_BSN.shape[1]):
        u_BSN[:, t] = u_BN = kept * u_BN + gain * current_BSN[:, t]
    return u_BSN
