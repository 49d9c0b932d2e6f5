"""Open a .nir file from anyone: a child parses the HDF5 under limits, we build from its arrays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nir
import numpy as np

from mdft.errors import UserError

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
    with tempfile.TemporaryDirectory(prefix="nir_") as folder:
        out = Path(folder) / "arrays.npz"
        refusal = _parse(path, out)
        if refusal is not None:
            raise UserError(f"{path}: {refusal}")
        try:
            with np.load(out, allow_pickle=False) as file:
                return _build(dict(file))
        except Exception as error:  # nir raises whatever it likes
            raise UserError(f"{path}: nir refuses it ({_one_line(str(error))})") from error


def _parse(path: Path, out: Path) -> str | None:
    """Run the child; None if it wrote `out`, else the reason in one line."""
    seconds = CPU_S + path.stat().st_size / BYTES_PER_S
    wait = WAIT_S + WAIT * seconds
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hardware.graph.child", str(path.resolve()), str(out)]
    try:
        child = subprocess.run(
            [*command, f"{seconds:.3f}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            timeout=wait,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"reading it took more than {wait:.0f} s"
    if child.returncode:
        if child.returncode == -getattr(signal, "SIGPROF", 0):  # Windows knows none
            return f"reading it took more than {seconds:.1f} s of processor time"
        return f"reading it ended with status {child.returncode}"
    said = _one_line(child.stdout.decode(errors="replace"))
    return said or (None if out.exists() else "reading it gave nothing")


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "…"


def _build(arrays: dict[str, np.ndarray]) -> nir.NIRGraph:
    edges = [(str(a), str(b)) for a, b in arrays.pop("edges")]
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in arrays.items():
        name, _, field = key.rpartition("/")
        nodes.setdefault(name, {})[field] = str(value) if field == "type" else value
    built = {name: nir.dict2NIRNode(fields) for name, fields in nodes.items()}
    return nir.NIRGraph(built, edges)
