"""Read an untrusted .nir file: a child process parses the HDF5, the graph is built from arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np

from mdft.errors import UserError, printable
from mdft.isolation import Child

CHILD = "hardware.graph.child"
MEMORY = 2 << 30  # bytes of address space
CPU_S = 0.6  # the child's processor time for a small file, once Python has started
BYTES_PER_S = 2e6  # and so much longer for a large one; 1024 nodes are 14 MB and take 4 s
WAIT_S, WAIT = 20, 15  # wall-clock seconds, and for each second of processor time: a busy machine


def read_nir(path: Path) -> nir.NIRGraph:
    """The graph in a .nir file, without its metadata.

    HDF5 itself can crash or hang on a broken file, and nir accepts much that is none. So a child
    process with limits on memory and time reads it, `hardware.graph.structure` checks it there, and
    only arrays of known names, types and sizes come back: names match `[A-Za-z0-9_.-]{1,128}`;
    the types are those of `hardware.graph.node_types.SUPPORTED`; all data lies in this file, at
    most 1024 nodes and 2**26 values; every edge joins two nodes that exist, and none closes a
    cycle.

    Raises:
        UserError: names the file, what was found and what was expected.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a .nir file from python -m export.to_nir")
    seconds = CPU_S + path.stat().st_size / BYTES_PER_S
    with Child(CHILD, MEMORY) as child:
        _, arrays = child.read(path, WAIT_S + WAIT * seconds, cpu_seconds=seconds)
    try:
        return _build(dict(arrays))
    except Exception as error:  # nir raises whatever it likes
        raise UserError(f"{path}: nir refuses it ({printable(error)[:300]})") from error


def _build(arrays: dict[str, np.ndarray]) -> nir.NIRGraph:
    edges = [(str(a), str(b)) for a, b in arrays.pop("edges")]
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
        name, _, field = key.rpartition("/")
        nodes.setdefault(name, {})[field] = str(value) if field == "type" else value
    built = {name: nir.dict2NIRNode(fields) for name, fields in nodes.items()}
    return nir.NIRGraph(built, edges)
