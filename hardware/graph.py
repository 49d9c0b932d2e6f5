"""Lower a NIR graph to a `Network`: what the simulators need, in topological order."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from hardware.errors import UserError
from hardware.network import Network, Population, Synapses
from hardware.nir_file import read_nir

DT = 1e-4  # seconds a step, the field's convention (snnTorch, Lava); NIR stores only tau
DECAY_UNITS = 4096  # Loihi's decays have 12 bits
SNAP = 1e-6  # tau goes through float32; 2**-24 relative is 6e-8

_Sources = dict[str, tuple[np.ndarray | None, str]]  # source -> (matrix or identity, nodes)


def read_network(path: Path | str, dt: float = DT) -> Network:
    """Read and lower a .nir file.

    Chains of Affine and Linear fold into one matrix and one bias for each pair of source and
    population: W2(W1·x + b1) + b2 = (W2·W1)·x + (W2·b1 + b2). Several edges into a node add.

    Args:
        path: a .nir file; Input, Output, Affine, Linear and LIF nodes, feed-forward.
        dt: seconds a step; decay = dt/τ and gain = r·dt/τ are snapped to multiples of
            1/4096 when within one part in 10**6, since τ was stored as float32.

    Raises:
        UserError: names the file, the node, what was found and what was expected.
    """
    path = Path(path)
    graph = read_nir(path)
    try:
        return lower(graph, dt)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def lower(graph: nir.NIRGraph, dt: float = DT) -> Network:
    """Lower a graph in memory; see `read_network`."""
    edges = [(str(a), str(b)) for a, b in graph.edges]
    preds = {name: sorted(a for a, b in edges if b == name) for name in graph.nodes}
    reached: dict[str, tuple[_Sources, np.ndarray | None]] = {}
    inputs, populations, outputs = {}, [], {}
    for name in _topological(list(graph.nodes), edges):
        node = graph.nodes[name]
        sources, bias = _sum(name, [reached[p] for p in preds[name]])
        if isinstance(node, nir.Input):
            inputs[name] = _input_width(name, node)
            reached[name] = ({name: (None, "")}, None)
        elif not preds[name]:
            raise UserError(f"node {name!r} has no incoming edge, expected at least one")
        elif isinstance(node, nir.Affine | nir.Linear):
            reached[name] = _through(name, node, sources, bias)
        elif isinstance(node, nir.LIF):
            widths = {s: inputs.get(s) for s in sources} | {
                p.name: p.size for p in populations if p.name in sources
            }
            populations.append(_population(name, node, sources, bias, widths, dt))
            reached[name] = ({name: (None, "")}, None)
        elif isinstance(node, nir.Output):
            outputs[name] = _output_source(name, sources, bias, {p.name for p in populations})
    _check_complete(inputs, outputs)
    return Network(inputs, tuple(populations), outputs, dt)


def _topological(names: list[str], edges: list[tuple[str, str]]) -> list[str]:
    waiting = {name: {a for a, b in edges if b == name} for name in names}
    order: list[str] = []
    while waiting:
        ready = [name for name, before in waiting.items() if not before]
        if not ready:
            raise UserError(f"nodes {sorted(waiting)[:4]} form a cycle, expected feed-forward")
        order += ready
        waiting = {n: before - set(ready) for n, before in waiting.items() if n not in ready}
    return order


def _check_complete(inputs: dict, outputs: dict) -> None:
    if not inputs or not outputs:
        missing = "Output" if inputs else "Input"
        raise UserError(f"the graph has no {missing} node, expected at least one")


def _input_width(name: str, node: nir.Input) -> int:
    shape = np.asarray(node.input_type["input"]).ravel()
    if len(shape) != 1 or shape[0] < 1:
        raise UserError(f"Input {name!r} has shape {shape.tolist()}, expected one dimension")
    return int(shape[0])


def _output_source(name: str, sources: _Sources, bias: np.ndarray | None, lifs: set[str]) -> str:
    if len(sources) == 1 and bias is None:
        source, (matrix, _) = next(iter(sources.items()))
        if matrix is None and source in lifs:
            return source
    raise UserError(f"Output {name!r} does not carry the spikes of one LIF node, expected so")


def _sum(name: str, terms: list) -> tuple[_Sources, np.ndarray | None]:
    """Add what several edges bring, source by source."""
    total: _Sources = {}
    total_bias: np.ndarray | None = None
    for sources, bias in terms:
        for source, (matrix, nodes) in sources.items():
            if source in total:
                matrix, nodes = _add(name, total[source], (matrix, nodes))
            total[source] = (matrix, nodes)
        if bias is not None:
            total_bias = bias if total_bias is None else _same(name, total_bias, bias)
    return total, total_bias


def _same(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape != b.shape:
        raise UserError(f"edges of shape {a.shape} and {b.shape} meet in {name!r}, expected equal")
    return a + b


def _add(name: str, a: tuple, b: tuple) -> tuple[np.ndarray, str]:
    known = a[0] if a[0] is not None else b[0]
    if known is None:
        raise UserError(f"node {name!r} receives one source twice, expected it once")
    eye = np.eye(known.shape[0], known.shape[1])
    left, right = (eye if m is None else m for m in (a[0], b[0]))
    return _same(name, left, right), "+".join(n for n in (a[1], b[1]) if n)


def _through(
    name: str, node: nir.Affine | nir.Linear, sources: _Sources, bias: np.ndarray | None
) -> tuple[_Sources, np.ndarray | None]:
    weight = _finite(name, "weight", node.weight)
    if weight.ndim != 2:
        raise UserError(f"{name}.weight has shape {weight.shape}, expected two dimensions")
    out: _Sources = {}
    for source, (matrix, nodes) in sources.items():
        if matrix is not None and matrix.shape[0] != weight.shape[1]:
            raise UserError(
                f"{name}.weight takes {weight.shape[1]} values, its source gives {matrix.shape[0]}"
            )
        folded = weight if matrix is None else weight @ matrix
        out[source] = (folded, f"{nodes}·{name}" if nodes else name)
    own = _finite(name, "bias", node.bias) if isinstance(node, nir.Affine) else None
    if own is not None and own.shape != weight.shape[:1]:
        raise UserError(f"{name}.bias has shape {own.shape}, expected ({weight.shape[0]},)")
    if bias is None:
        return out, own
    if bias.shape != weight.shape[1:]:
        raise UserError(
            f"{name}.weight takes {weight.shape[1]} values, its source gives {len(bias)}"
        )
    return out, weight @ bias + (0 if own is None else own)


def _finite(name: str, field: str, value: np.ndarray) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{name}.{field} holds NaN or infinite values, expected finite ones")
    return array


def _population(
    name: str, node: nir.LIF, sources: _Sources, bias: np.ndarray | None, widths: dict, dt: float
) -> Population:
    fields = ("tau", "r", "v_leak", "v_reset", "v_threshold")
    p = {field: _finite(name, field, getattr(node, field)) for field in fields}
    if any(p[f].ndim != 1 or p[f].shape != p["tau"].shape or not p[f].size for f in fields):
        shapes = {f: p[f].shape for f in fields}
        raise UserError(f"{name}: found parameter shapes {shapes}, expected all (N,)")
    for field in ("tau", "r", "v_threshold"):
        if (p[field] <= 0).any():
            raise UserError(f"{name}.{field} has {p[field].min():g}, expected above 0")
    if (p["v_reset"] > p["v_threshold"]).any():
        raise UserError(f"{name}.v_reset lies above v_threshold, expected below")
    if (p["tau"] * (1 + SNAP) < dt).any():
        raise UserError(f"{name}.tau has {p['tau'].min():g} s, expected at least dt = {dt:g} s")
    size = len(p["tau"])
    synapses = tuple(
        _synapses(name, size, source, matrix, nodes, widths[source])
        for source, (matrix, nodes) in sources.items()
    )
    if bias is not None and bias.shape != (size,):
        raise UserError(f"node {name!r} has {size} neurons, its bias has {len(bias)}")
    decay = snap_decay(dt / p["tau"])
    gain = snap_decay(p["r"] * dt / p["tau"])
    return Population(
        name,
        synapses,
        np.zeros(size) if bias is None else bias,
        decay,
        gain,
        p["v_leak"],
        p["v_reset"],
        p["v_threshold"],
    )


def _synapses(
    name: str, size: int, source: str, matrix: np.ndarray | None, nodes: str, width: int
) -> Synapses:
    weight = np.eye(width) if matrix is None else matrix
    if weight.shape != (size, width):
        raise UserError(
            f"node {name!r}: connection from {source!r} has shape {weight.shape}, "
            f"expected ({size}, {width})"
        )
    return Synapses(source, weight, nodes or f"{source}->{name}")


def snap_decay(value: np.ndarray) -> np.ndarray:
    """Return the multiple of 1/4096 within one part in 10**6, if any, else the value.

    β survives its way through τ = dt/(1 − β) in float32 for only 72 % of values; 12-bit decays
    always do when snapped.
    """
    near = np.round(value * DECAY_UNITS) / DECAY_UNITS
    return np.where(np.abs(value - near) < SNAP * np.abs(value), near, value)
