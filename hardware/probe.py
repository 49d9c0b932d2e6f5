"""Read probe.npz: real inputs of a graph, and the spikes and membranes it must give."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware.errors import UserError
from hardware.network import Network, check_inputs

MAX_BYTES = 1 << 31
PATHWAYS = ("audio", "visual")
ARITHMETICS = ("float", "loihi")


@dataclass(frozen=True)
class Probe:
    """One pathway of a probe file; S = T·K steps.

    Attributes:
        inputs: (B, S, width) by input name.
        grids: power-of-two grid that each input's values lie on, where the file says so.
        spikes: (B, S, N) by node that fires, 0 or 1.
        membranes: (B, S, N) by node, before the reset; an Output that carries no node as it is
            counts as one that does not fire.
        arithmetic: "float" or "loihi", in which the spikes were computed; in a simulator that
            computes in it they have to be these.
    """

    inputs: dict[str, np.ndarray]
    grids: dict[str, float]
    spikes: dict[str, np.ndarray]
    membranes: dict[str, np.ndarray]
    arithmetic: str = "float"


def read_probe(path: Path | str, pathway: str, network: Network) -> Probe:
    """One pathway's arrays, checked against the graph.

    Args:
        path: probe.npz with keys `p.in.<input>`, `p.spikes.<layer>`, `p.membrane.<layer>`,
            `p.spikes.out` and optionally `p.grid.<input>`, for each pathway p. Where the graph
            has several outputs, `p.out.<output>` for each instead of `p.spikes.out`. A node
            that does not fire has no spikes; its output is its membrane.
        pathway: the p to read.
        network: the graph that the probe belongs to.

    Raises:
        UserError: names the file, the key, what was found and what was expected.
    """
    path = Path(path)
    arrays = _load(path, pathway)
    try:
        inputs = {name: _take(arrays, f"in.{name}") for name in network.inputs}
        shape = check_inputs(network, inputs)
        spikes, membranes = {}, {}
        for p in network.populations:
            membranes[p.name] = _take(arrays, f"membrane.{p.name}", (*shape, p.size))
            if p.fires:
                spikes[p.name] = _take(arrays, f"spikes.{p.name}", (*shape, p.size))
        for name, values in spikes.items():
            if not np.isin(values, (0, 1)).all():
                raise UserError(f"spikes.{name} holds values other than 0 and 1")
        one = len(network.outputs) == 1
        for output, name in network.outputs.items():
            key = "spikes.out" if one else f"out.{output}"
            carried = spikes.get(name, membranes[name])
            if not np.array_equal(_take(arrays, key, carried.shape), carried):
                kind = "spikes" if name in spikes else "membrane"
                raise UserError(f"{key} differs from {kind}.{name}, whose output it is")
        grids = {n: _grid(arrays, n) for n in network.inputs if f"grid.{n}" in arrays}
        arithmetic = str(arrays.get("arithmetic", "float"))
        if arithmetic not in ARITHMETICS:
            raise UserError(f"arithmetic is {arithmetic[:20]!r}, expected one of {ARITHMETICS}")
    except UserError as error:
        raise UserError(f"{path}: pathway {pathway!r}: {error}") from None
    return Probe(inputs, grids, spikes, membranes, arithmetic)


def pathway_of(graph: Path, pathway: str | None = None) -> str:
    """The pathway of a graph: as given, else from its name motion_<pathway>.nir.

    Raises:
        UserError: it is none of `PATHWAYS`.
    """
    found = pathway or graph.stem.removeprefix("motion_")
    if found not in PATHWAYS:
        raise UserError(
            f"{graph}: cannot tell the pathway from the name; give "
            f"--pathway, one of: {', '.join(PATHWAYS)}"
        )
    return found


def first_samples(probe: Probe, limit: int) -> Probe:
    """The probe's first samples.

    Raises:
        UserError: fewer than one asked for.
    """
    if limit < 1:
        raise UserError(f"--limit is {limit}, expected at least 1")
    parts = (probe.inputs, probe.spikes, probe.membranes)
    inputs, spikes, membranes = ({n: x[:limit] for n, x in part.items()} for part in parts)
    return Probe(inputs, probe.grids, spikes, membranes, probe.arithmetic)


def _load(path: Path, pathway: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected probe.npz from python -m export.to_nir")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise UserError(f"{path}: more than {MAX_BYTES >> 30} GiB unpacked")
        with np.load(path, allow_pickle=False) as file:
            prefix = f"{pathway}."
            found = {k.removeprefix(prefix): file[k] for k in file.files if k.startswith(prefix)}
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise whatever a broken file provokes
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{path}: not a readable .npz file ({reason})") from error
    if not found:
        raise UserError(
            f"{path}: holds nothing for pathway {pathway!r}, expected keys such as "
            f"'{pathway}.in.events'"
        )
    return found


def _take(
    arrays: dict[str, np.ndarray], key: str, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    if key not in arrays:
        raise UserError(f"{key} is missing; found {sorted(arrays)[:8]}")
    array = arrays[key]
    if array.dtype.kind not in "fiub" or (shape is not None and array.shape != shape):
        raise UserError(
            f"{key}: found {array.dtype}{list(array.shape)}, expected real numbers"
            + (f" of shape {list(shape)}" if shape else "")
        )
    return array


def _grid(arrays: dict[str, np.ndarray], name: str) -> float:
    grid = float(_take(arrays, f"grid.{name}", ()))
    if not np.isfinite(grid) or grid <= 0 or np.log2(grid) % 1:
        raise UserError(f"grid.{name} is {grid:g}, expected a power of two")
    return grid
