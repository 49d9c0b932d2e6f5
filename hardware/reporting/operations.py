"""What a network costs: operations in NeuroBench's definitions, memory, cores, traffic.

Definitions are those of NeuroBench (Yik et al., "The neurobench framework for benchmarking
neuromorphic computing algorithms and systems", Nature Communications 2025; package 2.3.0), for one
sample, as a mean over samples. Everything is counted; only the energy is modelled, see
:class:`EnergyModel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork
from hardware.graph.network import Network, Population
from hardware.reporting.fit import LOIHI_2, CoreFit, CoreLimits, fit_cores


@dataclass(frozen=True)
class EnergyModel:
    """Energy of an operation in picojoules: a proxy, modelled and not measured.

    E = ac·ACs + mac·MACs. Horowitz, "Computing's energy problem", ISSCC 2014: a 32-bit
    floating-point addition in 45 nm takes 0.9 pJ, a multiplication 3.7 pJ. Not Loihi's energy:
    memory, leakage and the network on the chip are left out.
    """

    ac: float = 0.9
    mac: float = 4.6
    source: str = "Horowitz, ISSCC 2014: 45 nm, 32-bit floating point"


@dataclass(frozen=True)
class Traffic:
    """What one source sends into the network in a step, on average.

    Attributes:
        source: an input or a population.
        channels: its width.
        messages: values other than zero; each is one message to every layer that it reaches.
        payload_bits: bits of a message beside its address: 0 for a spike; for a graded input
            what its largest value on its grid needs, with a sign where there are negative ones;
            None for membranes, which are on no grid.
        layers: how many populations it reaches.
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
        layer: its name.
        neurons: N.
        synapses: N·M over all sources, zeros too.
        zero_weights: how many of them are zero.
        effective_acs: additions: (spikes of a neuron) × (its weights other than zero).
        effective_macs: the same for graded inputs, where a value has to be multiplied.
        dense_macs: N·M·S, what the same layer costs when every value is multiplied.
        activation_sparsity: 1 − spikes / (N·S); of neurons that do not fire, values of zero.
        membrane_updates: neuron-steps that change the membrane that is kept (after the reset);
            the first step counts whole. Equal to the package's on snnTorch neurons of
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
    """A network on given inputs; a sample is S steps.

    Attributes:
        samples: over how many the means are taken.
        steps: S.
        layers: one entry a population.
        traffic: one entry a source, inputs first.
        fit: memory, neurons and axons against a core's limits.
        depth: synapses on the longest path: each is one step of delay.
        limits: of a core.
        energy: of the proxy.
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
        """Zero weights over all weights."""
        return self.total("zero_weights") / self.total("synapses")

    @property
    def activation_sparsity(self) -> float:
        """Silent neuron-steps over all of them."""
        silent = sum(layer.activation_sparsity * layer.neurons for layer in self.layers)
        return silent / self.total("neurons")

    @property
    def latency_steps(self) -> int:
        """Steps from the first input to the last output, S + depth."""
        return self.steps + self.depth

    @property
    def cores(self) -> int:
        """Cores of all layers; no core holds two."""
        return sum(fit.cores for fit in self.fit)

    @property
    def modelled_nj(self) -> float:
        """Proxy energy of the operations of a sample in nanojoules."""
        acs, macs = self.total("effective_acs"), self.total("effective_macs")
        return (self.energy.ac * acs + self.energy.mac * macs) / 1000

    @property
    def modelled_dense_nj(self) -> float:
        """Proxy energy of the dense layers of a sample in nanojoules."""
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
    """Count what a network does.

    Args:
        network: a lowered graph; the Linears and Affines between two populations are one matrix,
            biases are not synapses.
        inputs: (B, S, width) by input name.
        spikes: (B, S, N) by population that fires.
        membranes: (B, S, N) of all before the reset, in the graph's units.
        grids: the grid of each input's values.
        integers: the graph in integers, which say the bits of a weight; 8 without them.
        limits: of a core.
    """
    sent = {p.name: (spikes if p.fires else membranes)[p.name] for p in network.populations}
    signals = {**inputs, **sent}
    samples, steps = next(iter(inputs.values())).shape[:2]
    layers = tuple(_layer(p, signals, membranes[p.name]) for p in network.populations)
    traffic = tuple(_traffic(network, name, x, grids.get(name)) for name, x in signals.items())
    fit = fit_cores(network, integers, limits)
    return Cost(samples, steps, layers, traffic, fit, _depth(network), limits)


def _layer(p: Population, signals: Mapping[str, np.ndarray], membrane: np.ndarray) -> LayerCost:
    batch, steps = membrane.shape[:2]
    additions = multiplications = zeros = synapses = 0
    for s in p.synapses:
        # In float64 the product is exact and uses BLAS: counts stay far below 2**53.
        fan_out_M = (s.weight != 0).sum(0).astype(np.float64)
        count = int((_active(signals[s.source]) @ fan_out_M).sum())
        if _binary(signals[s.source]):
            additions += count
        else:
            multiplications += count
        zeros += int((s.weight == 0).sum())
        synapses += s.weight.size
    active = signals[p.name] != 0
    kept = np.where(active, p.v_reset, membrane) if p.fires else membrane
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
    """NeuroBench's test of a spike; it asks each step, we ask the source once."""
    return bool(np.isin(signal, (-1, 0, 1)).all())


def _traffic(network: Network, name: str, signal: np.ndarray, grid: float | None) -> Traffic:
    reached = sum(s.source == name for p in network.populations for s in p.synapses)
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
        depth[p.name] = 1 + max((depth[s.source] for s in p.synapses), default=0)
    return max(depth[source] for source in network.outputs.values())
