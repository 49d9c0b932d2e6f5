"""Read the HDF5 of a .nir file into plain arrays, checking every name and size."""

from __future__ import annotations

import math
import re
from pathlib import Path

import h5py
import numpy as np

from hardware.graph.node_types import REFUSED, SUPPORTED, NodeType
from hardware.graph.topology import topological
from mdft.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
VERSION = re.compile(r"[01]\.\d{1,4}\S{0,64}")
MAX_NODES = 1024
MAX_EDGES = 4096
MAX_VALUES = 1 << 26  # per file: 256 MB of float32
MAX_METADATA = 1024
MAX_TEXT = 256


def read_structure(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a graph: "edges" (n, 2), "<node>/type" and "<node>/<field>".

    Metadata is checked and not returned.

    Raises:
        UserError: what was found and what was expected; the caller adds the file's name.
    """
    with h5py.File(path, "r") as file:
        version = _plain("the file", file, "version")
        if not VERSION.fullmatch(found := _text("version", version)):
            raise UserError(f"version is {found[:40]!r}, expected NIR 0 or 1")
        root = _group("the file", file, "node")
        if (kind := _text("node.type", _plain("node", root, "type"))) != "NIRGraph":
            raise UserError(f"node.type is {kind[:40]!r}, expected NIRGraph")
        extra = set(map(str, root)) - {"nodes", "edges", "type", "metadata"}
        if extra:
            raise UserError(f"node/ holds {sorted(extra)[0][:40]!r}, expected a plain NIRGraph")
        _check_metadata("the graph", root)
        nodes = _group("node", root, "nodes")
        if not 0 < len(nodes) <= MAX_NODES:
            raise UserError(f"{len(nodes)} nodes, expected 1 to {MAX_NODES}")
        arrays, budget = {}, MAX_VALUES
        for name in map(str, nodes):
            if not NAME.fullmatch(name):
                raise UserError(f"node name {name[:40]!r} is not allowed, expected {NAME.pattern}")
            found = _node(name, nodes, budget)
            budget -= sum(x.size for x in found.values())
            arrays |= {f"{name}/{field}": x for field, x in found.items()}
        arrays["edges"] = _edges(_plain("node", root, "edges"), arrays)
    return arrays


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


def _node(name: str, nodes: h5py.Group, budget: int) -> dict[str, np.ndarray]:
    node = nodes[name] if _is_hard(nodes, name) else None
    if not isinstance(node, h5py.Group):
        raise UserError(f"node {name!r} is no group of this file, expected one")
    kind = _text(f"{name}.type", _plain(name, node, "type"))
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
        found[field] = item[()]
    return {"type": np.array(kind)} | {field: np.asarray(x) for field, x in found.items()}


def _check_numbers(where: str, field: str, item: h5py.Dataset, spec: NodeType) -> None:
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


def _edges(edges: h5py.Dataset, arrays: dict[str, np.ndarray]) -> np.ndarray:
    string = h5py.check_string_dtype(edges.dtype)
    shape = edges.shape
    if string is None or len(shape) != 2 or shape[1] != 2 or not 0 < shape[0] <= MAX_EDGES:
        raise UserError(
            f"edges are {edges.dtype}{shape}, expected (n, 2) names, n from 1 to {MAX_EDGES}"
        )
    if (string.length or 0) > MAX_TEXT:
        raise UserError(f"edges hold names of {string.length} bytes, expected {MAX_TEXT}")
    kinds = {k.rpartition("/")[0]: str(x) for k, x in arrays.items() if k.endswith("/type")}
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
    topological(kinds, pairs)
    return np.array(pairs)
