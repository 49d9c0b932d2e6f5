"""Read an untrusted .nir file: a child process parses the HDF5, the graph is built from arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np

from hardware.graph.convolution import IMAGES
from mdft.errors import UserError, printable, require_file
from mdft.isolation import Child

CHILD = "hardware.graph.child"
MEMORY = 2 << 30  # bytes of address space of the child
CPU_S = 0.6  # the child's processor time for a small file, once Python has started
BYTES_PER_S = 2e6  # plus one second per so many bytes; 1024 nodes are 14 MB and take 4 s
MOST_NOTES, LONGEST_NOTE = 8, 600  # characters
WAIT_S, WAIT = 20, 15  # wall-clock seconds: base, and per second of processor time (busy machine)


def read_nir(path: Path, notes: list[str] | None = None) -> nir.NIRGraph:
    """Return the graph in a .nir file, without its metadata.

    HDF5 can crash or hang on a broken file, and nir accepts many files that are not graphs.
    Therefore a child process with limits on memory and time reads the file and checks it with
    `hardware.graph.structure`. It returns only arrays of known names, types and sizes: names
    match `[A-Za-z0-9_.-]{1,128}`, joined by dots for a graph within the graph; the types are those
    of `hardware.graph.node_types.SUPPORTED`; all data lies in this file, at most 1024 nodes and
    2**26 values; every edge connects two existing nodes, and every cycle has a neuron.

    Graphs within the graph are flattened, and shapes made plain (`hardware.graph.shapes`): the
    result does not depend on which of the usual forms a tool wrote.

    Args:
        path: the file.
        notes: a list that gets a line for the user about each such change.

    Raises:
        UserError: the file is not supported; the message has the file, what was found and expected.
    """
    require_file(path, "a .nir file, such as motion_visual.nir of python -m export.to_nir")
    seconds = CPU_S + path.stat().st_size / BYTES_PER_S
    with Child(CHILD, MEMORY) as child:
        header, arrays = child.read(path, WAIT_S + WAIT * seconds, cpu_seconds=seconds)
    found = header.get("notes")
    if notes is not None and isinstance(found, list):  # a malicious file may control the child
        notes += [printable(note)[:LONGEST_NOTE] for note in found[:MOST_NOTES]]
    try:
        return _build(dict(arrays))
    except Exception as error:  # nir raises many types of exception
        raise UserError(f"{path}: nir refuses it ({printable(error)[:300]})") from error


_SIZES = ("input_shape", "stride", "padding", "dilation", "groups")


def _build(arrays: dict[str, np.ndarray]) -> nir.NIRGraph:
    edges = [(str(a), str(b)) for a, b in arrays.pop("edges")]
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
        name, _, field = key.rpartition("/")
        nodes.setdefault(name, {})[field] = str(value) if value.dtype.kind == "U" else value
    for fields in nodes.values():
        if fields["type"] == "Conv1d":  # nir takes its sizes as numbers
            fields |= {
                k: v.item()
                for k, v in fields.items()
                if k in _SIZES and isinstance(v, np.ndarray) and v.ndim == 0
            }
    built = {name: nir.dict2NIRNode(fields) for name, fields in nodes.items()}
    # nir's type check takes kernels as square and does not know groups.
    images = any(fields["type"] in IMAGES for fields in nodes.values())
    return nir.NIRGraph(built, edges, type_check=not images)
