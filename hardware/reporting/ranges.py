"""The used share of the ranges of a graph's weights, membranes and inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.fixed_point.integers import STATE_LIMIT, IntegerNetwork
from hardware.graph.matrices import values
from hardware.graph.network import Network, Recording
from hardware.probe import Probe

#: The largest magnitude of a graded input of 8 bits.
PAYLOAD_LIMIT = 255
#: The largest stored weight of mixed signs, an even integer; see `hardware.fixed_point.quantise`.
STORED_LIMIT = 254


@dataclass(frozen=True)
class LayerRange:
    """The used ranges of one layer, on the probe.

    Attributes:
        layer: the name of the layer.
        rate: the spikes per neuron and step.
        silent: the number of neurons that never fire.
        constant: the number of neurons that fire in every step.
        v_threshold: the smallest threshold.
        membrane: the smallest and largest membrane before the reset, in the graph's units.
        weight: the smallest and largest weight, in the graph's units.
        stored: the smallest and largest weight as Loihi stores it; None without integers.
        at_limit: the number of stored weights at ±``STORED_LIMIT``; None without integers.
        state_peak: the largest integer membrane divided by 2^23; None without integers.
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
        name: the name of the Input node.
        width: the number of channels.
        grid: the power of two that all values are multiples of.
        units: the smallest and largest value in units of the grid.
        active: the share of values other than zero.
        saturated: the number of values at ±255 units, the limit of an 8-bit payload; None if
            there are larger values.
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
    """Return the ranges of every layer that fires.

    Args:
        network: a lowered graph.
        probe: the spikes and membranes.
        integers: the quantised graph, if it has a fixed-point form.
        oracle: the integer reference's recording, given together with `integers`.
    """
    found = []
    for p in network.populations:
        if not p.fires:
            continue
        spikes = probe.spikes[p.name].astype(bool)
        membrane = probe.membranes[p.name]
        weights = np.concatenate([values(s.weight).ravel() for s in p.synapses])
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
    """Return the stored integers of a layer's synapses; None without integers."""
    if integers is None:
        return None
    by_name = {p.name: p for p in integers.populations}
    return np.concatenate([values(s.weight).ravel() for s in by_name[layer].synapses])


def input_ranges(
    network: Network, inputs: dict[str, np.ndarray], grids: dict[str, float]
) -> tuple[InputRange, ...]:
    """Return the ranges of every input."""
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
