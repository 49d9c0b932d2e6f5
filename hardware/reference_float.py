"""The floating-point reference: NIR's equations in forward Euler, in NumPy."""

from __future__ import annotations

import numpy as np

from hardware.graph.network import (
    UNCHECKED,
    Network,
    Population,
    Recording,
    check_inputs,
    check_range,
)


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
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    for p in network.populations:
        current = np.zeros((batch, steps, p.size), dtype) + p.bias.astype(dtype)
        with np.errstate(**UNCHECKED):
            spike, membranes[p.name] = _population(p, signals, current)
        check_range(p.name, membranes[p.name])
        signals[p.name] = spike if p.fires else membranes[p.name]
        if p.fires:
            spikes[p.name] = spike.astype(np.uint8)
    return Recording(spikes, membranes, dict.fromkeys(membranes, 1.0), {})


def _population(
    p: Population, signals: dict[str, np.ndarray], current: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes and membranes (B, S, N); `current` holds the bias and is added to."""
    # Without recurrence, one matrix product per source gives the currents of all steps.
    for synapses in p.synapses:
        current += signals[synapses.source] @ synapses.weight.T.astype(current.dtype)
    if p.current is not None:
        current = _with_memory(current, p.current.decay, p.current.gain)
    v_BN = np.zeros_like(current[:, 0])
    spike, membrane = np.empty_like(current), np.empty_like(current)
    for t in range(current.shape[1]):
        (spike[:, t], membrane[:, t]), v_BN = lif_step(current[:, t], v_BN, p)
    return spike, membrane


def _with_memory(current_BSN: np.ndarray, decay: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """u(t) = (1 − decay)·u(t − 1) + gain·I(t): the membrane sees the new u, as in Lava."""
    kind = current_BSN.dtype.type
    kept, gain = (1 - decay).astype(kind), gain.astype(kind)
    u_BSN = np.empty_like(current_BSN)
    u_BN = np.zeros_like(current_BSN[:, 0])
    for t in range(current_BSN.shape[1]):
        u_BSN[:, t] = u_BN = kept * u_BN + gain * current_BSN[:, t]
    return u_BSN
