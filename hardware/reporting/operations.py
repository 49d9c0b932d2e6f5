"""The cost of a network: operations in NeuroBench's definitions, memory, cores and traffic.

Definitions are those of NeuroBench (Yik et al., "The neurobench framework for benchmarking
neuromorphic computing algorithms and systems", Nature Communications 2025; package 2.3.0), for one
sample, as a mean over samples. All numbers are counted; only the energy is modelled, see
:class:`EnergyModel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork
from hardware.graph.matrices import column_counts, stored, values
from hardware.graph.network import Network, Population, constants, delayed
from hardware.reporting.fit import LOIHI_2, CoreFit, CoreLimits, fit_cores


@dataclass(frozen=True)
class EnergyModel:
    """Energy of an operation in picojoules; it is modelled, not measured.

    E = ac·ACs + mac·MACs. Horowitz, "Computing's energy problem", ISSCC 2014: a 32-bit
    floating-point addition in 45 nm takes 0.9 pJ, a multiplication 3.7 pJ. This is not
    Loihi's energy: memory, leakage and the network on the chip are left out.
    """

    ac: float = 0.9
    mac: float = 4.6
    source: str = "Horowitz, ISSCC 2014: 45 nm, 32-bit floating point"


@dataclass(frozen=True)
class Traffic:
    """The messages that one source sends into the network per step, on average.

    Attributes:
        source: the name of an input or a population.
        channels: the width of the source.
        messages: the number of values other than zero; each is one message to every target layer.
        payload_bits: the bits of a message without its address: 0 for a spike; for a graded input
            the bits of its largest value on its grid, with a sign bit if there are negative ones;
            None for membranes, which have no grid.
        layers: the number of populations that the source connects to.
    """

    source: str
    channels: int
    messages: float
    payload_bits: int | None
    layers: int


@dataclass(frozen=True)
class LayerCost:
    """One population and the synapses into it, for one sample of S steps.

    Attributes:
        layer: the name of the population.
        neurons: the number of neurons N.
        synapses: N·M over all sources, including zeros; of a sparse matrix (convolution, pooling,
            delay) its connections, each counted although a kernel shares its weights.
        zero_weights: the number of weights that are zero.
        effective_acs: additions: (spikes of a neuron) × (its weights other than zero).
        effective_macs: the same for graded inputs, whose values must be multiplied.
        dense_macs: `synapses`·S, the multiplications if every value is multiplied.
        activation_sparsity: 1 − spikes / (N·S); for neurons that do not fire, the share of zeros.
        membrane_updates: neuron-steps that change the membrane after the reset; the first step
            counts for all neurons. Equal to the package's on snnTorch neurons of
            ``reset_delay=False``.
    """

    layer: str
    neurons: int
    synapses: int
    zero_weights: int
    effective_acs: float
    effective_macs: float
    dense_macs: int
    activation_sparsity: float
    membrane_updates: float


@dataclass(frozen=True)
class Cost:
    """The cost of a network on given inputs; a sample has S steps.

    Attributes:
        samples: the number of samples of the means.
        steps: the number of steps S.
        layers: one entry per population.
        traffic: one entry per source, inputs first.
        fit: memory, neurons and axons compared with a core's limits.
        depth: the number of synapses on the longest path; each is one step of delay.
        limits: the limits of a core.
        energy: the energy model.
    """

    samples: int
    steps: int
    layers: tuple[LayerCost, ...]
    traffic: tuple[Traffic, ...]
    fit: tuple[CoreFit, ...]
    depth: int
    limits: CoreLimits
    energy: EnergyModel = field(default_factory=EnergyModel)

    def total(self, name: str) -> float:
        """The sum of a field of :class:`LayerCost` over the layers."""
        return sum(getattr(layer, name) for layer in self.layers)

    @property
    def connection_sparsity(self) -> float:
        """The share of weights that are zero."""
        return self.total("zero_weights") / self.total("synapses")

    @property
    def activation_sparsity(self) -> float:
        """The share of neuron-steps without a spike."""
        silent = sum(layer.activation_sparsity * layer.neurons for layer in self.layers)
        return silent / self.total("neurons")

    @property
    def latency_steps(self) -> int:
        """The number of steps from the first input to the last output, S + depth."""
        return self.steps + self.depth

    @property
    def cores(self) -> int:
        """The cores of all layers; no core holds two layers."""
        return sum(fit.cores for fit in self.fit)

    @property
    def modelled_nj(self) -> float:
        """The modelled energy of a sample's operations in nanojoules."""
        acs, macs = self.total("effective_acs"), self.total("effective_macs")
        return (self.energy.ac * acs + self.energy.mac * macs) / 1000

    @property
    def modelled_dense_nj(self) -> float:
        """The modelled energy of a sample's dense layers in nanojoules."""
        return self.energy.mac * self.total("dense_macs") / 1000


def cost(
    network: Network,
    inputs: Mapping[str, np.ndarray],
    spikes: Mapping[str, np.ndarray],
    membranes: Mapping[str, np.ndarray],
    grids: Mapping[str, float],
    *,
    integers: IntegerNetwork | None = None,
    limits: CoreLimits = LOIHI_2,
) -> Cost:
    """Count the operations, memory and traffic of a network.

    Args:
        network: a lowered graph; the Linears and Affines between two populations are one matrix,
            biases are not synapses.
        inputs: (B, S, width) by input name.
        spikes: (B, S, N) by population that fires.
        membranes: (B, S, N) by population, before the reset, in the graph's units.
        grids: the grid of each input's values.
        integers: the quantised graph, for the bits per weight; None: 8 bits.
        limits: the limits of a core.
    """
    sent = {p.name: (spikes if p.fires else membranes)[p.name] for p in network.populations}
    signals = {**inputs, **sent}
    samples, steps = next(iter(inputs.values())).shape[:2]
    made = constants(network.populations, samples, steps)
    layers = tuple(_layer(p, {**signals, **made}, membranes[p.name]) for p in network.populations)
    traffic = tuple(_traffic(network, name, x, grids.get(name)) for name, x in signals.items())
    fit = fit_cores(network, integers, limits)
    return Cost(samples, steps, layers, traffic, fit, _depth(network), limits)


def _layer(p: Population, signals: Mapping[str, np.ndarray], membrane: np.ndarray) -> LayerCost:
    batch, steps = membrane.shape[:2]
    additions = multiplications = zeros = synapses = 0
    for s in p.synapses:
        # In float64 the product is exact and uses BLAS: counts stay far below 2**53.
        fan_out_M = column_counts(s.weight).astype(np.float64)
        count = int((_active(delayed(signals[s.source], s.delay)) @ fan_out_M).sum())
        if _binary(signals[s.source]):
            additions += count
        else:
            multiplications += count
        zeros += int((values(s.weight) == 0).sum())
        synapses += stored(s.weight)
    active = signals[p.name] != 0
    reset = membrane - p.v_threshold if p.subtracts else p.v_reset
    kept = np.where(active, reset, membrane) if p.fires else membrane
    return LayerCost(
        p.name,
        p.size,
        synapses,
        zeros,
        additions / batch,
        multiplications / batch,
        synapses * steps,
        1.0 - float(active.mean()),
        _updates(kept) / batch,
    )


def _updates(kept: np.ndarray) -> int:
    return kept[:, 0].size + int((kept[:, 1:] != kept[:, :-1]).sum())


def _active(signal: np.ndarray) -> np.ndarray:
    return (signal != 0).astype(np.float64)


def _binary(signal: np.ndarray) -> bool:
    """NeuroBench's test for spikes; applied once per source, not at each step."""
    return bool(np.isin(signal, (-1, 0, 1)).all())


def _traffic(network: Network, name: str, signal: np.ndarray, grid: float | None) -> Traffic:
    reached = sum(any(s.source == name for s in p.synapses) for p in network.populations)
    bits = None
    if np.isin(signal, (0, 1)).all():
        bits = 0
    elif grid is not None:
        units = np.round(signal / grid)
        bits = int(np.abs(units).max()).bit_length() + bool((units < 0).any())
    messages = float(_active(signal).sum((0, 2)).mean()) / len(signal)
    return Traffic(name, signal.shape[2], messages, bits, reached)


def _depth(network: Network) -> int:
    depth = dict.fromkeys(network.inputs, 0)
    for p in network.populations:
        before = [depth[s.source] + s.delay for s in p.synapses if s.source in depth]
        depth[p.name] = 1 + max(before, default=0)
    return max(depth[source] for source in network.outputs.values())
