"""What rounding to Loihi's integers changes in the outputs of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.compare import compare
from hardware.graph.network import Network, Recording


@dataclass(frozen=True)
class OutputLoss:
    """One output in floating point and in integers, on the probe.

    Attributes:
        output: the name of the Output node.
        layer: the population that it carries.
        float_rate: spikes per neuron and step in `reference_float`; None if membranes are carried.
        fixed_rate: the same in `reference_int`.
        differing: the share of spikes that differ; None if membranes are carried.
        f1: 2·TP / (2·TP + FP + FN) of the spikes, 1 if there are none.
        error: the largest difference of a membrane, relative to the largest membrane; None if
            spikes are carried.
    """

    output: str
    layer: str
    float_rate: float | None
    fixed_rate: float | None
    differing: float | None
    f1: float | None
    error: float | None


def output_losses(network: Network, exact: Recording, rounded: Recording) -> tuple[OutputLoss, ...]:
    """Compare the outputs of two recordings of a network.

    Args:
        network: the graph.
        exact: the recording of `reference_float`.
        rounded: the recording of `reference_int`, of the same inputs.
    """
    found = []
    for output, layer in network.outputs.items():
        if layer in exact.spikes:
            one, other = exact.spikes[layer], rounded.spikes[layer]
            x = compare(layer, one, other)
            rates = float(one.mean()), float(other.mean())
            share = x.differing / x.compared
            found.append(OutputLoss(output, layer, *rates, share, x.f1, None))
        else:
            one, other = exact.membrane(layer), rounded.membrane(layer)
            largest = float(np.abs(one).max()) or 1.0
            error = float(np.abs(one - other).max()) / largest
            found.append(OutputLoss(output, layer, None, None, None, None, error))
    return tuple(found)
