"""Lower a NIR graph to a `Network`: populations and matrices in topological order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from hardware.graph import signals
from hardware.graph.file import read_nir
from hardware.graph.network import DT, Network, Population
from hardware.graph.neurons import NEURONS, finite, neuron_shape, population, readout, unit_notes
from hardware.graph.signals import Signal
from hardware.graph.topology import topological
from mdft.errors import UserError

MAX_VALUES = 1 << 27  # in all matrices, 1 GB; products of small matrices can be far larger


def read_network(path: Path | str, dt: float = DT) -> Network:
    """Read and lower a .nir file.

    Args:
        path: a feed-forward .nir file with node types that docs/nodes.md lists.
        dt: seconds per step; decay = dt/τ and gain = r·dt/τ are rounded to multiples of
            1/4096 if within one part in 10**6, since τ was stored as float32.

    Raises:
        UserError: names the file, the node, what was found and what was expected.
    """
    path, notes = Path(path), list[str]()
    graph = read_nir(path, notes)
    try:
        network = lower(graph, dt)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return replace(network, notes=(*notes, *network.notes))


def lower(graph: nir.NIRGraph, dt: float = DT) -> Network:
    """Lower a graph in memory; see `read_network`.

    Linear, Affine, Scale and Flatten are folded into one matrix per pair of source and
    population, and one bias. The signals of several edges into a node are added. An Output that
    receives exactly one population carries it; any other sum becomes a population without
    memory, named after the Output.
    """
    edges = [(str(a), str(b)) for a, b in graph.edges]
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in edges:
        before[b].append(a)
    reached: dict[str, Signal] = {}
    inputs: dict[str, int] = {}
    populations: dict[str, Population] = {}
    outputs: dict[str, str] = {}
    values = 0
    for name in topological(graph.nodes, edges):
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            shape = _shape(name, node.input_type["input"])
            inputs[name], reached[name] = math.prod(shape), signals.source(name, shape)
            continue
        if not before[name]:
            raise UserError(f"node {name!r} has no incoming edge, expected at least one")
        x = signals.add(name, [reached[a] for a in sorted(before[name])])
        if isinstance(node, nir.Output):
            outputs[name] = _output(name, node, x, populations)
        elif isinstance(node, NEURONS):
            populations[name] = population(name, node, x, dt)
            reached[name] = signals.source(name, neuron_shape(node))
        else:
            reached[name] = _through(name, node, x)
            values += signals.matrix_values(reached[name])
        if name in populations:
            values += sum(s.weight.size for s in populations[name].synapses)
        if values > MAX_VALUES:
            raise UserError(
                f"up to node {name!r} matrices hold {values} values, expected at most {MAX_VALUES}"
            )
    if not inputs or not outputs:
        missing = "Output" if inputs else "Input"
        raise UserError(f"the graph has no {missing} node, expected at least one")
    return Network(inputs, tuple(populations.values()), outputs, dt, unit_notes(graph, dt))


def _shape(name: str, value: np.ndarray) -> tuple[int, ...]:
    shape = tuple(int(n) for n in np.asarray(value).ravel())
    if not shape or min(shape) < 1:
        raise UserError(f"{name!r} has shape {shape}, expected dimensions above 0")
    if math.prod(shape) > MAX_VALUES:
        raise UserError(f"{name!r} has shape {shape}, expected at most {MAX_VALUES} values")
    return shape


def _output(name: str, node: nir.Output, x: Signal, populations: dict[str, Population]) -> str:
    shape = _shape(name, node.output_type["output"])
    if shape != x.shape:
        raise UserError(f"Output {name!r} has shape {shape}, its input has {x.shape}")
    if len(x.terms) == 1 and x.bias is None:
        key, term = next(iter(x.terms.items()))
        if term.matrix is None and key in populations:
            return key
    populations[name] = readout(name, x)
    return name


def _through(name: str, node: nir.NIRNode, x: Signal) -> Signal:
    if isinstance(node, nir.Affine | nir.Linear):
        bias = finite(name, "bias", node.bias) if isinstance(node, nir.Affine) else None
        return signals.linear(name, finite(name, "weight", node.weight), bias, x)
    if isinstance(node, nir.Scale):
        return signals.scale(name, finite(name, "scale", node.scale), x)
    if isinstance(node, nir.Flatten):
        shapes = (node.input_type["input"], node.output_type["output"])
        given, shape = (_shape(name, s) for s in shapes)
        return signals.reshape(name, given, shape, x)
    raise UserError(f"node {name!r} has type {type(node).__name__}, which is not supported")
