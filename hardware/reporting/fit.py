"""Estimate whether a network fits Loihi 2's cores, and how many it needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.fixed_point.integers import BIAS_LIMIT, IntegerNetwork, IntegerPopulation
from hardware.graph.matrices import stored, values
from hardware.graph.network import Network

#: Bits per weight of a graph without a fixed-point form.
MOST_BITS = 8

#: u and v have 24 bits, a bias 13 signed bits and an exponent of 3; see
#: `hardware.fixed_point.reference_int`.
STATE_BITS = 2 * 24 + BIAS_LIMIT.bit_length() + 1 + 3


@dataclass(frozen=True)
class CoreLimits:
    """The capacity of one core, with the sources of the numbers.

    Attributes:
        neurons: the neurons of a core; Intel, "Taking Neuromorphic Computing to the Next Level
            with Loihi 2" (2021): a million neurons on 128 cores.
        synapse_bits: 128 KiB of synaptic memory per core, as nengo-loihi's MAX_SYNAPSE_BITS for
            Loihi 1. Loihi 2 divides a core's memory freely, so that this is an estimate.
        axons: the incoming or outgoing axons; nengo-loihi's MAX_IN_AXONS and MAX_OUT_AXONS for
            Loihi 1; for Loihi 2 none is published.
        cores: the cores of a chip; same source as `neurons`.
    """

    neurons: int = 8192
    synapse_bits: int = 128 * 1024 * 8
    axons: int = 4096
    cores: int = 128


LOIHI_2 = CoreLimits()


@dataclass(frozen=True)
class CoreFit:
    """One population compared with the limits of a core.

    Attributes:
        layer: the name of the population.
        neurons: the number of neurons N.
        weight_bits: the bits per weight, see :func:`weight_bits`.
        synapse_bits: `weight_bits` times the weights, zeros of dense matrices included; weights
            that the positions of a kernel share are counted at each position (unshared).
        state_bits: the bits of u, v and bias of all neurons.
        cores: the larger of the cores needed for the neurons and for the synapses.
        axons_in: the channels of its sources, each source once whatever the delays, into each of
            its cores; splitting a layer by neurons does not reduce them.
        axons_out: neurons of a core × cores that they connect to.
        fits: whether the axons are within the limit.
    """

    layer: str
    neurons: int
    weight_bits: int
    synapse_bits: int
    state_bits: int
    cores: int
    axons_in: int
    axons_out: int
    fits: bool


def weight_bits(p: IntegerPopulation) -> int:
    """Return the bits that hold every weight of a layer: those of its widest matrix.

    A matrix needs the bits of its largest magnitude, divided by the power of two that all of its
    integers share, and a sign bit if signs are mixed.

    Args:
        p: the population in integers.
    """
    widest = 1
    for s in p.synapses:
        w = values(s.weight)
        used = int(np.bitwise_or.reduce(np.abs(w), axis=None))
        mixed = bool(w.min(initial=0) < 0 < w.max(initial=0))
        if used:
            widest = max(widest, (used // (used & -used)).bit_length() + mixed)
    return widest


def fit_cores(
    network: Network, integers: IntegerNetwork | None, limits: CoreLimits
) -> tuple[CoreFit, ...]:
    """Compare every population of a network with the limits of a core.

    Args:
        network: a lowered graph.
        integers: the quantised graph; None: a weight has 8 bits.
        limits: the limits of a core.
    """
    widths = dict.fromkeys((p.name for p in network.populations), MOST_BITS)
    if integers is not None:
        widths = {p.name: weight_bits(p) for p in integers.populations}
    bits = {
        p.name: widths[p.name] * sum(stored(s.weight) for s in p.synapses)
        for p in network.populations
    }
    cores = {
        p.name: max(_ceil(p.size, limits.neurons), _ceil(bits[p.name], limits.synapse_bits))
        for p in network.populations
    }
    fits = []
    for p in network.populations:
        targets = [q for q in network.populations if any(s.source == p.name for s in q.synapses)]
        reached = sum(cores[q.name] for q in targets)
        # Synapses of several delays from one source share its axons.
        axons_in = sum({s.source: s.weight.shape[1] for s in p.synapses}.values())
        axons_out = _ceil(p.size, cores[p.name]) * reached
        fits.append(
            CoreFit(
                p.name,
                p.size,
                widths[p.name],
                bits[p.name],
                STATE_BITS * p.size,
                cores[p.name],
                axons_in,
                axons_out,
                max(axons_in, axons_out) <= limits.axons,
            )
        )
    return tuple(fits)


def _ceil(amount: int, limit: int) -> int:
    return -(-amount // limit)
