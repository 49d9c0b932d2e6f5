"""How much of their ranges the weights, membranes and inputs of a graph use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.fixed_point.integers import STATE_LIMIT, IntegerNetwork
from hardware.graph.network import Network, Recording
from hardware.probe import Probe

#: A graded input of 8 bits saturates here.
PAYLOAD_LIMIT = 255
#: Weights of mixed signs are even integers up to here, see `hardware.fixed_point.quantise`.
STORED_LIMIT = 254


@dataclass(frozen=True)
class LayerRange:
    """How much of its ranges a layer uses, on the probe.

    Attributes:
        layer: its name.
        rate: spikes per neuron and step.
        silent: neurons that never fire.
        constant: neurons that fire in every step.
        v_threshold: the smallest of its thresholds.
        membrane: smallest and largest membrane before the reset, in the graph's units.
        weight: smallest and largest weight, in the graph's units.
        stored: smallest and largest weight as Loihi stores it, None without integers.
        at_limit: stored weights at ±``STORED_LIMIT``, None without integers.
        state_peak: largest integer membrane over 2^23, None without integers.
    """

    layer: str
    rate: float
    silent: int
    constant: int
    v_threshold: float
    membrane: tuple[float, float]
    weight: tuple[float, float]
    stored: tuple[int, int] | None
    at_limit: int | None
    state_peak: float | None


@dataclass(frozen=True)
class InputRange:
    """The values of one input.

    Attributes:
        name: of the Input node.
        width: its channels.
        grid: the power of two that its values are multiples of.
        units: smallest and largest value over the grid.
        active: share of values other than zero.
        saturated: values at ±255 units, where an 8-bit payload ends; None where values are larger.
    """

    name: str
    width: int
    grid: float
    units: tuple[int, int]
    active: float
    saturated: int | None


def layer_ranges(
    network: Network, probe: Probe, integers: IntegerNetwork | None, oracle: Recording | None
) -> tuple[LayerRange, ...]:
    """Ranges of every layer that fires.

    Args:
        network: a lowered graph.
        probe: its spikes and membranes.
        integers: the graph in integers, if it has such a form.
        oracle: the integer reference's recording, with them.
    """
    found = []
    for p in network.populations:
        if not p.fires:
            continue
        spikes = probe.spikes[p.name].astype(bool)
        membrane = probe.membranes[p.name]
        weights = np.concatenate([s.weight.ravel() for s in p.synapses])
        stored = stored_weights(integers, p.name)
        peak = None
        if oracle is not None:
            peak = float(np.abs(oracle.membranes[p.name]).max() / STATE_LIMIT)
        found.append(
            LayerRange(
                p.name,
                float(spikes.mean()),
                int((~spikes.any((0, 1))).sum()),
                int(spikes.all((0, 1)).sum()),
                float(p.v_threshold.min()),
                (float(membrane.min()), float(membrane.max())),
                (float(weights.min()), float(weights.max())),
                None if stored is None else (int(stored.min()), int(stored.max())),
                None if stored is None else int((np.abs(stored) >= STORED_LIMIT).sum()),
                peak,
            )
        )
    return tuple(found)


def stored_weights(integers: IntegerNetwork | None, layer: str) -> np.ndarray | None:
    """All integers of a layer's synapses, as stored; None without integers."""
    if integers is None:
        return None
    by_name = {p.name: p for p in integers.populations}
    return np.concatenate([s.weight.ravel() for s in by_name[layer].synapses])


def input_ranges(
    network: Network, inputs: dict[str, np.ndarray], grids: dict[str, float]
) -> tuple[InputRange, ...]:
    """Ranges of every input."""
    found = []
    for name, width in network.inputs.items():
        units = np.round(inputs[name] / grids[name]).astype(np.int64)
        peak = int(np.abs(units).max())
        found.append(
            InputRange(
                name,
                width,
                grids[name],
                (int(units.min()), int(units.max())),
                float((units != 0).mean()),
                int((np.abs(units) == PAYLOAD_LIMIT).sum()) if peak <= PAYLOAD_LIMIT else None,
            )
        )
    return tuple(found)
