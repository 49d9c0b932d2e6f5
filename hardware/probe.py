"""Read probe.npz: the inputs of a graph, and the expected spikes and membranes."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from hardware.fixed_point.quantise import check_grid
from hardware.graph.network import LARGEST, Network, as_floats, check_inputs
from hardware.reference_float import reference_float
from mdft.errors import UserError, unknown

MAX_BYTES = 1 << 31
ARITHMETICS = ("float", "loihi")


@dataclass(frozen=True)
class Probe:
    """One pathway of a probe file; S = T·K steps.

    Attributes:
        inputs: (B, S, width) by input name.
        grids: the power-of-two grid that each input's values lie on, if the file has it.
        spikes: (B, S, N) by node that fires, 0 or 1.
        membranes: (B, S, N) by node, before the reset; an Output that is not exactly one node
            counts as a node that does not fire.
        arithmetic: "float" or "loihi", in which the spikes were computed; a simulator with the
            same arithmetic must give the same spikes.
        source: the origin of the spikes: "probe", or "reference_float" if the file holds inputs
            only.
    """

    inputs: dict[str, np.ndarray]
    grids: dict[str, float]
    spikes: dict[str, np.ndarray]
    membranes: dict[str, np.ndarray]
    arithmetic: str = "float"
    source: str = "probe"

    @property
    def author(self) -> str:
        """The origin of the spikes, for display."""
        return "PyTorch" if self.source == "probe" else self.source


def read_probe(path: Path | str, pathway: str, network: Network) -> Probe:
    """Return one pathway's arrays, checked against the graph.

    Args:
        path: probe.npz with keys `p.in.<input>`, `p.spikes.<layer>`, `p.membrane.<layer>`,
            `p.spikes.out` and optionally `p.grid.<input>`, for each pathway p; `output_keys`
            says when `p.out.<output>` takes the place of `p.spikes.out`. A node
            that does not fire has no spikes; its output is its membrane. If a file holds inputs
            only, `reference_float` computes the spikes and membranes.
        pathway: the pathway p to read.
        network: the graph that the probe belongs to.

    Raises:
        UserError: names the file, the key, what was found and what was expected.
    """
    path = Path(path)
    arrays = _load(path, pathway)
    try:
        inputs = {name: as_floats(_take(arrays, f"in.{name}")) for name in network.inputs}
        shape = check_inputs(network, inputs)
        for key in arrays:
            kind, _, name = key.partition(".")
            if kind in ("in", "grid") and name not in network.inputs:
                raise unknown(f"{key}: input", name, network.inputs)
        grids = {n: _grid(arrays, n) for n in network.inputs if f"grid.{n}" in arrays}
        if all(key.startswith(("in.", "grid.")) for key in arrays):
            return computed(network, inputs, grids)
        spikes, membranes = {}, {}
        for p in network.populations:
            membranes[p.name] = _membranes(arrays, f"membrane.{p.name}", (*shape, p.size))
            if p.fires:
                spikes[p.name] = _spikes(arrays, f"spikes.{p.name}", (*shape, p.size))
        for output, key in output_keys(network.outputs, spikes).items():
            name = network.outputs[output]
            carried = spikes.get(name, membranes[name])
            if not np.array_equal(_take(arrays, key, carried.shape), carried):
                kind = "spikes" if name in spikes else "membrane"
                raise UserError(f"{key} differs from {kind}.{name}, whose output it is")
        arithmetic = str(arrays.get("arithmetic", "float"))
        if arithmetic not in ARITHMETICS:
            raise UserError(f"arithmetic is {arithmetic[:20]!r}, expected one of {ARITHMETICS}")
    except UserError as error:
        raise UserError(f"{path}: pathway {pathway!r}: {error}") from None
    return Probe(inputs, grids, spikes, membranes, arithmetic)


def output_keys(outputs: Mapping[str, str], spiking: Collection[str]) -> dict[str, str]:
    """Return the key of every output in a probe, without its pathway.

    It is `spikes.out` if there is one output; with several, or if that is the key of another
    layer's spikes, it is `out.<output>`.

    Args:
        outputs: the population that each Output carries.
        spiking: the populations that fire.
    """
    free = "out" not in spiking or "out" in outputs.values()
    return {name: "spikes.out" if len(outputs) == 1 and free else f"out.{name}" for name in outputs}


def computed(network: Network, inputs: dict[str, np.ndarray], grids: dict[str, float]) -> Probe:
    """Return a probe for inputs, with spikes and membranes of `reference_float`."""
    found = reference_float(network, inputs)
    return Probe(inputs, grids, found.spikes, found.membranes, source="reference_float")


def pathway_of(graph: Path, probe: Path, pathway: str | None = None) -> str:
    """Return the pathway p of a probe that belongs to a graph: `pathway` if given.

    Else it is the p of motion_<p>.nir or of <p>.nir, or the only one in the probe.

    Raises:
        UserError: the probe has no such pathway, or the names do not determine it.
    """
    with _opened(probe) as file:
        known = sorted({key.split(".in.")[0] for key in file.files if ".in." in key})
    if not known:
        raise UserError(f"{probe}: no inputs in it, expected keys such as 'visual.in.events'")
    if pathway is not None and pathway not in known:
        raise unknown(f"{probe}: --pathway", pathway, known)
    named = graph.stem.removeprefix("motion_")
    beside = graph.with_name(f"motion_{known[0]}.nir")
    if pathway is None and named not in known and beside != graph and beside.is_file():
        raise UserError(
            f"{graph}: {probe} has pathway {known[0]!r} alone, whose graph is {beside.name}; give "
            "that graph, or --pathway if the inputs are for this one"
        )
    found = pathway or (named if named in known else known[0])
    if found not in (pathway, named) and len(known) > 1:
        raise UserError(
            f"{graph}: its pathway in {probe} cannot be told from the name; give "
            f"--pathway, one of: {', '.join(known)}"
        )
    return found


def first_samples(probe: Probe, limit: int) -> Probe:
    """Return the probe's first samples.

    Raises:
        UserError: the limit is below 1.
    """
    if limit < 1:
        raise UserError(f"--limit is {limit}, expected at least 1")
    parts = (probe.inputs, probe.spikes, probe.membranes)
    inputs, spikes, membranes = ({n: x[:limit] for n, x in part.items()} for part in parts)
    return replace(probe, inputs=inputs, spikes=spikes, membranes=membranes)


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    """Open a probe's file; turn all errors into a UserError."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected probe.npz from python -m export.to_nir")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise UserError(f"{path}: more than {MAX_BYTES >> 30} GiB unpacked")
        with np.load(path, allow_pickle=False) as file:
            yield file
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many types for broken files
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{path}: not a readable .npz file ({reason})") from error


def _load(path: Path, pathway: str) -> dict[str, np.ndarray]:
    prefix = f"{pathway}."
    with _opened(path) as file:
        found = {
            k.removeprefix(prefix): _array(path, file, k)
            for k in file.files
            if k.startswith(prefix)
        }
    if not found:
        raise UserError(
            f"{path}: no keys of pathway {pathway!r}, expected keys such as '{pathway}.in.events'"
        )
    return found


def _array(path: Path, file: NpzFile, key: str) -> np.ndarray:
    try:
        return file[key]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise UserError(
            f"{path}: {key} is an array of Python objects, expected real numbers"
        ) from error


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


def _spikes(arrays: dict[str, np.ndarray], key: str, shape: tuple[int, ...]) -> np.ndarray:
    values = _take(arrays, key, shape)
    if not np.isin(values, (0, 1)).all():
        raise UserError(f"{key} holds values other than 0 and 1")
    return values.astype(np.uint8)


def _membranes(arrays: dict[str, np.ndarray], key: str, shape: tuple[int, ...]) -> np.ndarray:
    values = as_floats(_take(arrays, key, shape))
    if not (np.abs(values) <= LARGEST).all():  # a NaN would differ from nothing
        raise UserError(f"{key} holds NaN or values above {LARGEST:g}, expected membranes")
    return values


def _grid(arrays: dict[str, np.ndarray], name: str) -> float:
    grid = float(_take(arrays, f"grid.{name}", ()))
    check_grid(f"grid.{name}", grid)
    return grid
