"""Read the HDF5 of a .nir file into arrays of a flat graph, checking every name and size."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hardware.graph.node_types import NEURONS, REFUSED, SUPPORTED, NodeType
from hardware.graph.topology import topological
from mdft.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
VERSION = re.compile(r"[01]\.\d{1,4}\S{0,64}")
MAX_NAME = 1024  # characters of a name with those of the graphs around it
MAX_NODES = 1024
MAX_EDGES = 4096
MAX_VALUES = 1 << 26  # per file: 256 MB of float32
MAX_METADATA = 1024
MAX_TEXT = 256
GRAPH = "NIRGraph"

Fields = dict[str, np.ndarray]
Edge = tuple[str, str]


@dataclass(frozen=True)
class Structure:
    """A graph without graphs in it, as arrays.

    Attributes:
        nodes: the fields of each node, its "type" among them.
        edges: pairs of names.
        graphs: the names of the graphs within the graph that were flattened.
    """

    nodes: dict[str, Fields]
    edges: list[Edge]
    graphs: tuple[str, ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return "edges" (n, 2), "<node>/type" and "<node>/<field>"."""
        named = {f"{n}/{f}": x for n, fields in self.nodes.items() for f, x in fields.items()}
        return named | {"edges": np.array(self.edges)}


def read_structure(path: Path) -> Structure:
    """Return the nodes and edges of a file; graphs within the graph are flattened.

    The node `lif` of the graph `block` becomes `block.lif`, at any depth. The Input and the
    Output of `block` become a Flatten that changes nothing, so that each edge from or to `block`
    remains one edge. The arrays are as in the file. Metadata is checked and not returned.

    Raises:
        UserError: what was found and what was expected; the caller adds the file's name.
    """
    with h5py.File(path, "r") as file:
        version = _plain("the file", file, "version")
        if not VERSION.fullmatch(found := _text("version", version)):
            raise UserError(f"version is {found[:40]!r}, expected NIR 0 or 1")
        root = _group("the file", file, "node")
        if (kind := _text("node.type", _plain("node", root, "type"))) != GRAPH:
            raise UserError(f"node.type is {kind[:40]!r}, expected NIRGraph")
        return _Reader().read(root)


def _no_silent_cycle(nodes: dict[str, Fields], edges: list[Edge]) -> None:
    """Refuse a cycle without a neuron."""
    neurons = {name for name, fields in nodes.items() if str(fields["type"]) in NEURONS}
    topological(nodes, [(a, b) for a, b in edges if a not in neurons])


class _Reader:
    """Reads a graph and the graphs within it, one after another, with common limits."""

    def __init__(self) -> None:
        self.nodes: dict[str, Fields] = {}
        self.edges: list[Edge] = []
        self.ends: dict[str, dict[str, str]] = {}  # graph → "Input" and "Output" → node
        self.count = 0
        self.values = MAX_VALUES

    def read(self, root: h5py.Group) -> Structure:
        waiting = [("", root)]
        while waiting:  # no recursion: Python's stack would limit the depth
            waiting += self._graph(*waiting.pop())
        edges = [
            (self.ends.get(a, {}).get("Output", a), self.ends.get(b, {}).get("Input", b))
            for a, b in self.edges
        ]
        _no_silent_cycle(self.nodes, edges)
        return Structure(self.nodes, edges, tuple(self.ends))

    def _graph(self, graph: str, group: h5py.Group) -> list[tuple[str, h5py.Group]]:
        """Read the nodes and edges of one graph; return the graphs directly within it."""
        where = graph or "node"
        if extra := set(map(str, group)) - {"nodes", "edges", "type", "metadata"}:
            place = graph or "node/"
            raise UserError(f"{place} holds {sorted(extra)[0][:40]!r}, expected a plain NIRGraph")
        _check_metadata(graph or "the graph", group)
        nodes = _group(where, group, "nodes")
        self.count += len(nodes)
        if not 0 < self.count <= MAX_NODES:
            raise UserError(f"{self.count} nodes, expected 1 to {MAX_NODES}")
        kinds: dict[str, str] = {}
        inner: list[tuple[str, h5py.Group]] = []
        for name in map(str, nodes):
            if not NAME.fullmatch(name):
                raise UserError(f"node name {name[:40]!r} is not allowed, expected {NAME.pattern}")
            full = self._joined(graph, name)
            node = nodes[name] if _is_hard(nodes, name) else None
            if not isinstance(node, h5py.Group):
                raise UserError(f"node {full!r} is no group of this file, expected one")
            kinds[name] = _text(f"{full}.type", _plain(full, node, "type"))
            if kinds[name] == GRAPH:
                self.ends[full] = {}
                inner.append((full, node))
            else:
                self.nodes[full] = fields = _node(full, kinds[name], node, self.values)
                self.values -= sum(x.size for x in fields.values())
        edges = _plain(where, group, "edges")
        try:
            pairs = _edges(edges, kinds, MAX_EDGES - len(self.edges))
            if graph:
                self._make_ends(graph, kinds)
        except UserError as error:
            raise UserError(f"graph {graph!r}: {error}" if graph else str(error)) from None
        self.edges += [(f"{graph}.{a}", f"{graph}.{b}") if graph else (a, b) for a, b in pairs]
        return inner

    def _joined(self, graph: str, name: str) -> str:
        full = f"{graph}.{name}" if graph else name
        if len(full) > MAX_NAME:
            raise UserError(
                f"node {full[:40]!r}… has {len(full)} characters with the names of the graphs "
                f"around it, expected at most {MAX_NAME}"
            )
        if full in self.nodes or full in self.ends:
            raise UserError(f"two nodes are named {full!r} with the names of the graphs around")
        return full

    def _make_ends(self, graph: str, kinds: dict[str, str]) -> None:
        """Turn the Input and the Output of an inner graph into nodes that change nothing."""
        for kind in ("Input", "Output"):
            names = [name for name, found in kinds.items() if found == kind]
            if len(names) != 1:
                raise UserError(f"it has {len(names)} nodes of type {kind}, expected one")
            self.ends[graph][kind] = full = f"{graph}.{names[0]}"
            zero = np.array(0)
            fields = {"type": np.array("Flatten"), "start_dim": zero, "end_dim": zero}
            if "shape" in self.nodes[full]:
                fields["input_type"] = self.nodes[full]["shape"]
            self.nodes[full] = fields


def _group(where: str, parent: h5py.Group, name: str) -> h5py.Group:
    item = parent[name] if _is_hard(parent, name) else None
    if not isinstance(item, h5py.Group):
        raise UserError(f"{where} has no group {name}, expected a file written by nir.write")
    return item


def _is_hard(parent: h5py.Group, name: str) -> bool:
    return isinstance(parent.get(name, getlink=True), h5py.HardLink)


def _plain(where: str, parent: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset whose values are stored in this file."""
    if name not in parent:
        raise UserError(f"{where} has no {name}, expected it")
    item = parent[name] if _is_hard(parent, name) else None
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise UserError(f"{where}.{name} is not plain data of this file, expected an array")
    if item.shape is None:
        raise UserError(f"{where}.{name} is empty, expected an array")
    return item


def _text(where: str, item: h5py.Dataset) -> str:
    string = h5py.check_string_dtype(item.dtype)
    if item.shape != () or string is None or (string.length or 0) > MAX_TEXT:
        raise UserError(f"{where} is {item.dtype}{item.shape}, expected one string")
    return str(item.asstr()[()])


def _node(name: str, kind: str, node: h5py.Group, budget: int) -> Fields:
    if kind not in SUPPORTED:
        reason = REFUSED.get(kind, "unknown type")
        raise UserError(
            f"node {name!r} has type {kind[:40]!r}: {reason}; supported: {', '.join(SUPPORTED)}"
        )
    spec = SUPPORTED[kind]
    _check_metadata(name, node)
    fields = set(map(str, node)) - {"type", "metadata"}
    if unknown := fields - set(spec.fields):
        raise UserError(f"{name}.{sorted(unknown)[0][:40]} is no field of {kind}")
    if missing := set(spec.fields) - set(spec.optional) - fields:
        raise UserError(f"{name}.{sorted(missing)[0]} is missing, {kind} needs it")
    found = {}
    for field in sorted(fields):
        item = _plain(name, node, field)
        _check_numbers(f"{name}.{field}", field, item, spec)
        budget -= math.prod(item.shape)
        if budget < 0:
            raise UserError(f"{name}.{field}: more than {MAX_VALUES} values, expected fewer")
        found[field] = np.array(_text("", item)) if item.dtype.kind in "OS" else item[()]
    return {"type": np.array(kind)} | {field: np.asarray(x) for field, x in found.items()}


def _check_numbers(where: str, field: str, item: h5py.Dataset, spec: NodeType) -> None:
    if field in spec.words and h5py.check_string_dtype(item.dtype) is not None:
        _text(where, item)
        return
    kinds, expected = "fiu", "real numbers"
    if field in spec.whole:
        kinds, expected = "iu", "integers"
    elif field in spec.reals:
        kinds, expected = "f", "floating-point numbers"
    if item.dtype.kind not in kinds or item.dtype.itemsize > 8:
        raise UserError(f"{where} is {item.dtype}, expected {expected}")
    if field in spec.whole and math.prod(item.shape) > 8:
        raise UserError(f"{where} has {item.size} values, expected at most 8")


def _check_metadata(name: str, node: h5py.Group) -> None:
    if "metadata" not in node:
        return
    group = _group(name, node, "metadata")
    if len(group) > MAX_METADATA:
        raise UserError(f"{name}: {len(group)} metadata, expected at most {MAX_METADATA}")


def _edges(edges: h5py.Dataset, kinds: dict[str, str], limit: int) -> list[Edge]:
    """Return the edges of one graph, whose nodes have these types."""
    string = h5py.check_string_dtype(edges.dtype)
    shape = edges.shape
    if string is None or len(shape) != 2 or shape[1] != 2 or not 0 < shape[0] <= limit:
        raise UserError(
            f"edges are {edges.dtype}{shape}, expected (n, 2) names, n from 1 to {limit}"
        )
    if (string.length or 0) > MAX_TEXT:
        raise UserError(f"edges hold names of {string.length} bytes, expected {MAX_TEXT}")
    pairs = [(str(a), str(b)) for a, b in edges.asstr()[()]]
    for pair in pairs:
        for end in pair:
            if end not in kinds:
                short = tuple(x[:40] for x in pair)
                raise UserError(f"edge {short} names {end[:40]!r}, which is no node")
    if len(set(pairs)) != len(pairs):
        raise UserError("an edge is listed twice, expected each once")
    leaving, entering = {a for a, _ in pairs}, {b for _, b in pairs}
    for name, kind in kinds.items():
        if (name in entering) is (kind == "Input"):
            wanted = "no incoming edge" if kind == "Input" else "an incoming edge"
            raise UserError(f"{kind} {name!r} needs {wanted}")
        if (name in leaving) is (kind == "Output"):
            wanted = "no outgoing edge" if kind == "Output" else "an outgoing edge"
            raise UserError(f"{kind} {name!r} needs {wanted}")
    return pairs
