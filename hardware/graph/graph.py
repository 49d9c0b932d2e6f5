"""Lower a NIR graph to a `Network`: populations and matrices in topological order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from hardware.graph import signals
from hardware.graph.convolution import (
    CONVOLUTIONS,
    convolution_matrix,
    convolution_window,
    pool_matrix,
    pool_window,
)
from hardware.graph.file import read_nir
from hardware.graph.matrices import Matrix, stored
from hardware.graph.network import DT, MAX_SYNAPSES, Network, Population, Reset
from hardware.graph.neurons import NEURONS, finite, neuron_shape, population, readout, unit_notes
from hardware.graph.signals import Signal
from hardware.graph.topology import back_edges, topological
from mdft.errors import UserError

MAX_STEPS = 1 << 16  # of a Delay
MAX_CHANNELS = 1 << 27  # of an Input or Output


def read_network(
    path: Path | str,
    dt: float = DT,
    reset: Reset = "to-value",
    max_synapses: int = MAX_SYNAPSES,
) -> Network:
    """Read and lower a .nir file.

    Args:
        path: a .nir file with node types that docs/nodes.md lists.
        dt: seconds per step; decay = dt/τ and gain = r·dt/τ are rounded to multiples of
            1/4096 if within one part in 10**6, since τ was stored as float32.
        reset: "to-value", v ← v_reset, which NIR defines; or "subtract", v ← v − v_threshold.
        max_synapses: the most values that all matrices may have together, zeros of dense ones
            included; products of the small matrices of a file can be far larger than the file.

    Raises:
        UserError: names the file, the node, what was found and what was expected.
    """
    path, notes = Path(path), list[str]()
    graph = read_nir(path, notes)
    try:
        network = lower(graph, dt, reset, max_synapses)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return replace(network, notes=(*notes, *network.notes))


def lower(
    graph: nir.NIRGraph,
    dt: float = DT,
    reset: Reset = "to-value",
    max_synapses: int = MAX_SYNAPSES,
) -> Network:
    """Lower a graph in memory; see `read_network`.

    Linear, Affine, Scale, Flatten, convolutions and poolings are folded into one matrix per
    source, delay and population, and one bias. An edge that closes a cycle delivers one step
    later (`hardware.graph.topology.back_edges`). The signals of several edges into a node are
    added. An Output that receives exactly one population carries it; any other sum becomes a
    population without memory, named after the Output.
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
    held: dict[int, Matrix] = {}  # by id: a folded matrix and a population's may be one
    neurons = [name for name, node in graph.nodes.items() if isinstance(node, NEURONS)]
    known = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    back = back_edges(graph.nodes, edges, known, neurons)
    for name, node in graph.nodes.items():
        if isinstance(node, NEURONS):  # what it sends is known before what it receives
            reached[name] = signals.source(name, neuron_shape(node))
    notes = list(unit_notes(graph, dt))
    order = topological(graph.nodes, [e for e in edges if e not in back])
    if back:
        shown = sorted(f"{a} -> {b}" for a, b in back)
        more = f" and {len(shown) - 4} more" if shown[4:] else ""
        notes.append(
            f"edges that close a cycle deliver one step later: {', '.join(shown[:4])}{more}"
        )
        ends = {name for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
        order = _waiting_last(order, edges, set(neurons), ends)
    for name in order:
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            shape = _shape(name, node.input_type["input"])
            inputs[name], reached[name] = math.prod(shape), signals.source(name, shape)
            continue
        if not before[name]:
            raise UserError(f"node {name!r} has no incoming edge, expected at least one")
        sources = [
            signals.later(name, reached[a], 1) if (a, name) in back else reached[a]
            for a in sorted(before[name])
        ]
        x = signals.add(name, sources, max_synapses)
        if isinstance(node, nir.Output):
            outputs[name] = _output(name, node, x, populations, max_synapses)
        elif isinstance(node, NEURONS):
            populations[name] = population(name, node, x, dt, reset == "subtract", max_synapses)
        else:
            reached[name] = _through(name, node, x, dt, notes, max_synapses)
        if name in populations:
            made = [s.weight for s in populations[name].synapses]
        elif isinstance(node, nir.Output):
            made = []
        else:
            made = [t.matrix for t in reached[name].terms.values() if t.matrix is not None]
        values += sum(stored(m) for m in made if id(m) not in held)
        held |= {id(m): m for m in made}
        if values > max_synapses:
            raise UserError(
                f"up to node {name!r} matrices hold {values} values, expected at most "
                f"{max_synapses}; raise max_synapses, or split the graph"
            )
    if not inputs or not outputs:
        missing = "Output" if inputs else "Input"
        raise UserError(f"the graph has no {missing} node, expected at least one")
    return Network(inputs, tuple(populations.values()), outputs, dt, tuple(notes))


def _shape(name: str, value: np.ndarray) -> tuple[int, ...]:
    shape = tuple(int(n) for n in np.asarray(value).ravel())
    if not shape or min(shape) < 1:
        raise UserError(f"{name!r} has shape {shape}, expected dimensions above 0")
    if math.prod(shape) > MAX_CHANNELS:
        raise UserError(f"{name!r} has shape {shape}, expected at most {MAX_CHANNELS} values")
    return shape


def _output(
    name: str, node: nir.Output, x: Signal, populations: dict[str, Population], most: int
) -> str:
    shape = _shape(name, node.output_type["output"])
    if shape != x.shape:
        raise UserError(f"Output {name!r} has shape {shape}, its input has {x.shape}")
    if len(x.terms) == 1 and x.bias is None:
        (key, delay), term = next(iter(x.terms.items()))
        if term.matrix is None and not delay and key in populations:
            return key
    populations[name] = readout(name, x, most)
    return name


def _through(
    name: str, node: nir.NIRNode, x: Signal, dt: float, notes: list[str], most: int
) -> Signal:
    if isinstance(node, nir.Affine | nir.Linear):
        bias = finite(name, "bias", node.bias) if isinstance(node, nir.Affine) else None
        return signals.linear(name, finite(name, "weight", node.weight), bias, x, most)
    if isinstance(node, nir.Scale):
        return signals.scale(name, finite(name, "scale", node.scale), x, most)
    if isinstance(node, nir.Flatten):
        shapes = (node.input_type["input"], node.output_type["output"])
        given, shape = (_shape(name, s) for s in shapes)
        return signals.reshape(name, given, shape, x)
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return _convolution(name, node, x, most)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        _image(name, x, 2)
        window = pool_window(name, node.kernel_size, node.stride, node.padding)
        mean = isinstance(node, nir.AvgPool2d)
        matrix, shape = pool_matrix(name, window, x.shape, mean, most)
        return signals.mapped(name, matrix, None, shape, x, most)
    if isinstance(node, nir.Delay):
        return _delay(name, finite(name, "delay", node.delay), x, dt, notes, most)
    raise UserError(f"node {name!r} has type {type(node).__name__}, which is not supported")


def _convolution(name: str, node: nir.Conv1d | nir.Conv2d, x: Signal, most: int) -> Signal:
    dims = CONVOLUTIONS[type(node).__name__]
    weight = finite(name, "weight", node.weight)
    if weight.ndim != dims + 2 or not weight.size:
        raise UserError(f"{name}.weight has shape {weight.shape}, expected {dims + 2} dimensions")
    _image(name, x, dims)
    window = convolution_window(name, weight.shape[2:], node.stride, node.padding, node.dilation)
    groups = int(np.asarray(node.groups).reshape(-1)[0])
    matrix, shape = convolution_matrix(name, weight, groups, window, x.shape, most)
    bias = finite(name, "bias", node.bias)
    if bias.shape != weight.shape[:1]:
        raise UserError(f"{name}.bias has shape {bias.shape}, expected ({weight.shape[0]},)")
    whole = np.repeat(bias, math.prod(shape[1:])) if bias.any() else None
    return signals.mapped(name, matrix, whole, shape, x, most)


def _image(name: str, x: Signal, dims: int) -> None:
    if len(x.shape) != dims + 1:
        axes = "(C, L)" if dims == 1 else "(C, H, W)"
        raise UserError(f"node {name!r} takes an input of shape {axes}, found {x.shape}")


def _delay(
    name: str, seconds: np.ndarray, x: Signal, dt: float, notes: list[str], most: int
) -> Signal:
    """Delay by whole steps; what was rounded is noted."""
    exact = seconds / dt
    steps = np.round(exact)
    if (seconds < 0).any() or steps.max(initial=0) > MAX_STEPS:
        raise UserError(
            f"{name}.delay runs from {seconds.min():g} to {seconds.max():g} s, expected 0 to "
            f"{MAX_STEPS} steps of {dt:g} s"
        )
    if (error := np.abs(exact - steps).max(initial=0)) > 1e-6 * max(1.0, steps.max(initial=0)):
        notes.append(f"{name}: delays rounded to whole steps, by up to {error:.3g} steps")
    return signals.delay(name, steps.astype(np.int64), x, most)


def _waiting_last(
    order: list[str], edges: list[tuple[str, str]], neurons: set[str], outputs: set[str]
) -> list[str]:
    """Put the neurons after all nodes whose signals they need, in the order of their steps."""
    memoryless = topological(
        [n for n in order if n not in neurons],
        [(a, b) for a, b in edges if a not in neurons and b not in neurons],
    )
    return [
        *(n for n in memoryless if n not in outputs),
        *(n for n in order if n in neurons),
        *(n for n in memoryless if n in outputs),
    ]
