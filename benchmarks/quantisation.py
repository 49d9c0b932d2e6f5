"""``python -m benchmarks.quantisation``: spikes that Loihi's integers change in graphs of others.

Fifty seeded feed-forward graphs (`benchmarks.foreign_graphs`) run in ``reference_float`` and in
``reference_int``. The rows switch on one rounding at a time: the graph in floating point with the
weights (thresholds, …) of its integers. Given ``.nir`` files are measured instead, with random
spikes as inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.foreign_graphs import DT, GRAPHS, foreign_graph
from hardware.compare import compare
from hardware.fixed_point.integers import (
    STATE_SCALE,
    IntegerNetwork,
    IntegerPopulation,
)
from hardware.fixed_point.lava_form import lava_form
from hardware.fixed_point.quantise import input_grids, input_peaks, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower, read_network
from hardware.graph.matrices import mapped
from hardware.graph.network import Network, Population, Synapses
from hardware.reference_float import reference_float

Spikes = dict[str, np.ndarray]
PARTS = ("weights", "thresholds", "decays", "biases", "inputs")
ALL, TRUNCATED = "all of these", "and truncated membranes: reference_int"
ROWS = (*PARTS, "all but weights", ALL, TRUNCATED)


@dataclass(frozen=True)
class Options:
    """The settings of the benchmark."""

    graphs: int = GRAPHS
    """The number of random graphs."""
    files: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="GRAPH.nir")] = ()
    """Graphs to measure instead."""
    dt: float = DT
    """Seconds per step of the given graphs."""
    rate: float = 0.1
    """Spikes per channel and step of the inputs of the given graphs."""


def rounded(network: Network, integers: IntegerNetwork, parts: tuple[str, ...]) -> Network:
    """Return the graph in Lava's form, real numbers, with some constants of its integers."""
    form = lava_form(network)
    pairs = zip(form.populations, integers.populations, strict=True)
    made = tuple(_rounded(p, q, integers.input_grids, parts) for p, q in pairs)
    return replace(form, populations=made)


def _rounded(
    p: Population, q: IntegerPopulation, grids: dict[str, float], parts: tuple[str, ...]
) -> Population:
    if "weights" in parts:
        synapses = []
        for s in q.synapses:
            one = q.unit * 2.0**s.weight_exp / grids.get(s.source, 1.0)
            weight = mapped(s.weight, lambda k, one=one: k * one)
            synapses.append(Synapses(s.source, weight, p.name, s.delay))
        p = replace(p, synapses=tuple(synapses))
    if "thresholds" in parts and p.fires:
        p = replace(p, v_threshold=np.ones(p.size) * q.vth * q.unit)
    if "decays" in parts:
        p = replace(p, decay=np.ones(p.size) * q.dv / 4096)
        if p.current is not None:
            decay = (np.ones(p.size) * q.du + 1) / 4096
            p = replace(p, current=replace(p.current, decay=decay))
    if "biases" in parts:
        p = replace(p, bias=(q.bias_mant << q.bias_exp) * (q.unit / STATE_SCALE))
    if p.current is not None:  # in Lava's form the bias acts on the membrane, not on the current
        p = replace(p, bias=p.bias * 0, v_leak=p.bias / p.decay)
    return p


def variants(network: Network, inputs: dict[str, np.ndarray]) -> Iterator[tuple[str, Spikes]]:
    """Yield the spikes of each row of the table."""
    grids = input_grids(inputs)
    integers = quantise(network, grids, input_peaks(inputs))
    on_grids = {n: np.round(x / grids[n]) * grids[n] for n, x in inputs.items()}
    for row in ROWS[:-1]:
        parts = PARTS if row == ALL else PARTS[1:] if row == "all but weights" else (row,)
        given = on_grids if "inputs" in parts else inputs
        yield row, reference_float(rounded(network, integers, parts), given).spikes
    yield TRUNCATED, reference_int(integers, inputs).spikes


def measure(network: Network, inputs: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return, for each row, F1 of the outputs' spikes and the share of all spikes that differ."""
    exact = reference_float(network, inputs).spikes
    ends = [name for name in network.outputs.values() if name in exact]
    found = {}
    for row, spikes in variants(network, inputs):
        f1 = [compare(name, exact[name], spikes[name]).f1 for name in ends]
        differing = [float((exact[name] != spikes[name]).mean()) for name in exact]
        found[row] = float(np.mean(f1)), float(np.mean(differing))
    return found


def _given(options: Options) -> Iterator[tuple[Network, dict[str, np.ndarray]]]:
    rng = np.random.default_rng(0)
    if not options.files:
        for seed in range(options.graphs):
            graph, inputs = foreign_graph(seed)
            yield lower(graph, DT), inputs
    for path in options.files:
        network = read_network(path, options.dt)
        shapes = {n: (2, 100, width) for n, width in network.inputs.items()}
        yield network, {n: (rng.random(x) < options.rate).astype(float) for n, x in shapes.items()}


def main() -> None:
    """Print the table."""
    options = tyro.cli(Options, description=__doc__)
    found = [measure(*pair) for pair in _given(options)]
    table = Table(title=f"{len(found)} graphs, floating point against rounded")
    for name in ("rounded", "F1, median", "mean", "least", "spikes that differ, median", "mean"):
        table.add_column(name, justify="left" if name == "rounded" else "right")
    for row in ROWS:
        f1, differing = np.array([x[row] for x in found]).T
        numbers = f"{np.median(f1):.3f}", f"{f1.mean():.3f}", f"{f1.min():.3f}"
        shares = f"{np.median(differing):.2%}", f"{differing.mean():.2%}"
        table.add_row(row, *numbers, *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
