"""Open a .nir file from anyone: everything is checked before `nir` builds an object from it."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import nir

from hardware.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
NODE_TYPES = ("Input", "Output", "Affine", "Linear", "LIF")
MAX_NODES = 4096
MAX_VALUES = 1 << 26  # per file: 256 MB of float32


def read_nir(path: Path) -> nir.NIRGraph:
    """The graph in a .nir file.

    Checked from the HDF5 structure, in bounded memory, before `nir.read` sees it: it is a
    regular HDF5 file; names match `[A-Za-z0-9_.-]{1,128}`; only nodes of the types Input,
    Output, Affine, Linear and LIF; only plain datasets, no links; at most 4096 nodes and
    2**26 values; every edge joins two nodes that exist.

    Raises:
        UserError: names the file, what was found and what was expected.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a .nir file from python -m export.to_nir")
    try:
        with h5py.File(path, "r") as file:
            edges = _check_structure(path, file)
        graph = nir.read(path)
    except UserError:
        raise
    except Exception as error:  # h5py and nir raise whatever a broken file provokes
        raise UserError(f"{path}: not a readable .nir file ({_one_line(error)})") from error
    if {(str(a), str(b)) for a, b in graph.edges} != edges:  # nir.read mends what it finds odd
        raise UserError(f"{path}: nir.read rewired the graph, expected one without loose ends")
    return graph


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


def _check_structure(path: Path, file: h5py.File) -> set[tuple[str, str]]:
    version = file.get("version")
    if not isinstance(version, h5py.Dataset):
        raise UserError(f"{path}: no version field; expected a file written by nir.write")
    root, nodes, edges = file.get("node"), file.get("node/nodes"), file.get("node/edges")
    if (
        not isinstance(root, h5py.Group)
        or not isinstance(nodes, h5py.Group)
        or not isinstance(edges, h5py.Dataset)
    ):
        raise UserError(f"{path}: no node/nodes and node/edges; expected a NIRGraph")
    extra = set(root) - {"nodes", "edges", "type", "metadata"}
    if extra:
        raise UserError(f"{path}: node/ holds {sorted(extra)[:3]}, expected a plain NIRGraph")
    _check_metadata(path, "the graph", root)
    if not 0 < len(nodes) <= MAX_NODES:
        raise UserError(f"{path}: {len(nodes)} nodes, expected 1 to {MAX_NODES}")
    budget, kinds = MAX_VALUES, {}
    for name in map(str, nodes):
        if not NAME.fullmatch(name):
            raise UserError(
                f"{path}: node name {name[:40]!r} is not allowed, expected {NAME.pattern}"
            )
        kinds[name], values = _check_node(path, nodes, name)
        budget -= values
        if budget < 0:
            raise UserError(f"{path}: more than {MAX_VALUES} values, expected fewer")
    return _check_edges(path, edges, kinds)


def _check_node(path: Path, nodes: h5py.Group, name: str) -> tuple[str, int]:
    node = nodes[name] if isinstance(nodes.get(name, getlink=True), h5py.HardLink) else None
    kind = node.get("type") if isinstance(node, h5py.Group) else None
    if (
        not isinstance(node, h5py.Group)
        or not isinstance(kind, h5py.Dataset)
        or kind.size != 1
        or h5py.check_string_dtype(kind.dtype) is None
    ):
        raise UserError(f"{path}: node {name!r} has no type, expected one of {NODE_TYPES}")
    kind_name = str(kind.asstr()[()])
    if kind_name not in NODE_TYPES:
        raise UserError(
            f"{path}: node {name!r} has type {kind_name[:40]!r}, supported: {NODE_TYPES}"
        )
    values = 0
    _check_metadata(path, name, node)
    for field in map(str, node):
        if field == "metadata":
            continue
        item = _plain(path, name, node, field)
        if field != "type" and item.dtype.kind not in "fiu":
            raise UserError(f"{path}: {name}.{field} is {item.dtype}, expected real numbers")
        values += int(item.size or 0)
    return kind_name, values


def _plain(path: Path, name: str, group: h5py.Group, field: str) -> h5py.Dataset:
    """A dataset whose values lie in this very file."""
    linked = not isinstance(group.get(field, getlink=True), h5py.HardLink)
    item = None if linked else group[field]
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise UserError(f"{path}: {name}.{field[:40]} is not plain data, expected an array")
    return item


def _check_metadata(path: Path, name: str, node: h5py.Group) -> None:
    if "metadata" not in node:
        return
    linked = not isinstance(node.get("metadata", getlink=True), h5py.HardLink)
    group = None if linked else node["metadata"]
    if not isinstance(group, h5py.Group) or len(group) > MAX_NODES:
        raise UserError(f"{path}: the metadata of {name} is no small group, expected one")
    for field in map(str, group):
        if (_plain(path, name, group, field).size or 0) > MAX_NODES:
            raise UserError(f"{path}: metadata {name}.{field[:40]} is large, expected a few values")


def _check_edges(path: Path, edges: h5py.Dataset, kinds: dict[str, str]) -> set[tuple[str, str]]:
    text = h5py.check_string_dtype(edges.dtype) is not None
    if not text or edges.ndim != 2 or edges.shape[1] != 2 or not 0 < len(edges) <= MAX_NODES * 8:
        raise UserError(f"{path}: edges have shape {edges.shape}, expected (n, 2) names with n > 0")
    pairs = [(str(a), str(b)) for a, b in edges.asstr()[()]]
    for pair in pairs:
        for end in pair:
            if end not in kinds:
                raise UserError(f"{path}: edge {pair} names {end[:40]!r}, which is no node")
    if len(set(pairs)) != len(pairs):
        raise UserError(f"{path}: an edge is listed twice, expected each once")
    leaving, entering = {a for a, _ in pairs}, {b for _, b in pairs}
    for name, kind in kinds.items():
        if (name in entering) is (kind == "Input"):
            wanted = "no incoming edge" if kind == "Input" else "an incoming edge"
            raise UserError(f"{path}: {kind} {name!r} needs {wanted}")
        if (name in leaving) is (kind == "Output"):
            wanted = "no outgoing edge" if kind == "Output" else "an outgoing edge"
            raise UserError(f"{path}: {kind} {name!r} needs {wanted}")
    return set(pairs)
