"""The meaning of an exported .nir file, described in manifest.json and checked when read back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nir
import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from export.files import Form, RConvention
from hardware.graph.file import read_nir
from hardware.manifest import MANIFEST, sha256
from mdft.errors import UserError, first_problem
from mdft.lif.grid import Arithmetic

FORMAT_VERSION = 1
EVENTS, CURRENT, OUTPUT = "events", "threshold_current", "spikes"
DRIVE = "events_and_bits"  # the name of the single Input of form chain
AGAIN = "run python -m export.to_nir again"


@dataclass(frozen=True)
class Channels:
    """Consecutive channels of an Input with the same meaning.

    Attributes:
        carries: the meaning.
        first: the index of the first channel.
        count: the number of channels.
        grid: the power of two that the values are multiples of.
        low: the smallest value.
        high: the largest value.
        worth: for threshold bits, the current that a 1 adds in each channel; else empty.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    carries: str
    first: int
    count: int
    grid: float
    low: float
    high: float
    worth: tuple[float, ...] = ()


@dataclass(frozen=True)
class InputContract:
    """An Input: its width, the grid of all values, and its channels in order."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    width: int
    grid: float
    channels: tuple[Channels, ...]


@dataclass(frozen=True)
class LayerContract:
    """A LIF and the Affine before it.

    Attributes:
        neurons: the number of neurons N of the branch; they come first in the layer.
        relays: the number of relays after them, which pass threshold bits on to the next layer.
        beta: the decay factor per step, 1 − dt/τ.
        v_threshold: θ0, rounded to float32 in the file.
        weight_bits: the bits per weight, including the sign.
        weight_grid: the power of two that the N neurons' weights are multiples of. If r is one,
            all weights and biases are multiplied by τ/dt in the file.
        weight_limit: the largest weight with that number of bits.
        weight_max: the largest |weight|.
        bias_grid: the power of two that the biases are multiples of.
        bias_max: the largest |bias|.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    neurons: int
    relays: int
    beta: float
    v_threshold: float
    weight_bits: int
    weight_grid: float
    weight_limit: float
    weight_max: float
    bias_grid: float
    bias_max: float


@dataclass(frozen=True)
class PathwayContract:
    """The graph of one pathway; inputs and layers by node name."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    graph: str
    inputs: dict[str, InputContract]
    output: str
    layers: dict[str, LayerContract]


@dataclass(frozen=True)
class Contract:
    """manifest.json: how to read the .nir files beside it.

    The fields with sentences are constant: they define what NIR leaves open.

    Attributes:
        form: inputs or chain, see `layout`.
        r_convention: see `export.graph.gain`.
        arithmetic: the arithmetic of the probe's spikes; a simulator with the same arithmetic must
            give the same spikes.
        dt: seconds per step.
        sha256: the SHA-256 of every graph and of the probe, by file name.
        pathways: the graphs, by pathway.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    form: Form
    r_convention: RConvention
    arithmetic: Arithmetic
    dt: float
    sha256: dict[str, str]
    pathways: dict[str, PathwayContract]
    format_version: Literal[1] = FORMAT_VERSION
    equation: str = "v = v + dt/tau * (v_leak - v + r * I), then compare, then reset"
    comparison: str = ">"
    reset: str = "to zero in the step of the spike"
    start: str = "v = 0 before the first step of each sample; one clip is one sample"
    latency: str = "0 steps between nodes: a spike acts on the next layer in its own step"
    units: str = "dt and tau in seconds; weights, currents, v, v_threshold in one unit; r in none"


def layout(form: Form, layers: int) -> tuple[dict[str, type[nir.NIRNode]], set[tuple[str, str]]]:
    """Return the nodes by name and the edges of a form.

    ``inputs``: events → affine_1 → lif_1 → … → lif_L → spikes, and
    threshold_current → threshold_i → lif_i for each i.
    ``chain``: events_and_bits → affine_1 → lif_1 → … → lif_L → spikes.
    """
    first = EVENTS if form == "inputs" else DRIVE
    nodes: dict[str, type[nir.NIRNode]] = {first: nir.Input}
    row, edges = [first], set()
    if form == "inputs":
        nodes[CURRENT] = nir.Input
    for i in range(1, layers + 1):
        nodes |= {f"affine_{i}": nir.Affine, f"lif_{i}": nir.LIF}
        row += [f"affine_{i}", f"lif_{i}"]
        if form == "inputs":
            nodes[f"threshold_{i}"] = nir.Linear
            edges |= {(CURRENT, f"threshold_{i}"), (f"threshold_{i}", f"lif_{i}")}
    nodes[OUTPUT] = nir.Output
    row.append(OUTPUT)
    return nodes, edges | set(itertools.pairwise(row))


def read_contract(folder: Path) -> Contract:
    """Read the manifest.json of an exported folder.

    Raises:
        UserError: it is missing, malformed, or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: no such file; {AGAIN}")
    try:
        contract = TypeAdapter(Contract).validate_json(path.read_bytes())
    except ValidationError as error:
        where, problem = first_problem(error)
        raise UserError(f"{path}: field {where or '(whole file)'}: {problem}; {AGAIN}") from error
    for field in ("equation", "comparison", "reset", "start", "latency", "units"):
        found, expected = getattr(contract, field), getattr(Contract, field)
        if found != expected:
            raise UserError(f"{path}: {field} is {found!r}, expected {expected!r}; {AGAIN}")
    return contract


def check_export(folder: Path) -> tuple[Contract, dict[str, nir.NIRGraph]]:
    """Read an exported folder and check every graph against its contract.

    Returns:
        The contract, and the graph of each pathway.

    Raises:
        UserError: they differ; the message has the file and the difference.
    """
    contract = read_contract(folder)
    for name, expected in contract.sha256.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise UserError(f"{folder / name}: its SHA-256 is not that in {MANIFEST}; {AGAIN}")
    graphs = {}
    for name, pathway in contract.pathways.items():
        path = folder / pathway.graph
        if pathway.graph not in contract.sha256:
            raise UserError(f"{folder / MANIFEST}: no SHA-256 of {pathway.graph}; {AGAIN}")
        graphs[name] = read_nir(path)
        check_graph(path, graphs[name], contract, pathway)
    return contract, graphs


def check_graph(
    path: Path, graph: nir.NIRGraph, contract: Contract, pathway: PathwayContract
) -> None:
    """Check a graph against its contract: nodes, edges, widths, and the constants of every LIF.

    Raises:
        UserError: they differ; the message has file, node, what was found and expected.
    """
    nodes, edges = layout(contract.form, len(pathway.layers))
    found = {name: type(node) for name, node in graph.nodes.items()}
    if found != nodes or {(str(a), str(b)) for a, b in graph.edges} != edges:
        raise UserError(f"{path}: nodes or edges are not those of form {contract.form}")
    expected: dict[str, float | int] = {}
    values: dict[str, np.ndarray] = {}
    for name, given in pathway.inputs.items():
        expected[f"{name}.width"] = given.width
        values[f"{name}.width"] = np.ravel(graph.nodes[name].input_type["input"])
    for name, layer in pathway.layers.items():
        node = graph.nodes[name]
        assert isinstance(node, nir.LIF)
        gain = 1 / (1 - layer.beta)
        expected |= {
            f"{name}.size": layer.neurons + layer.relays,
            f"{name}.tau": contract.dt * gain,
            f"{name}.r": gain if contract.r_convention == "unit-gain" else 1.0,
            f"{name}.v_threshold": layer.v_threshold,
            f"{name}.v_leak": 0.0,
            f"{name}.v_reset": 0.0,
        }
        values[f"{name}.size"] = np.array([len(node.tau)])
        for field in ("tau", "r", "v_threshold", "v_leak", "v_reset"):
            values[f"{name}.{field}"] = np.asarray(getattr(node, field))
    for what, array in values.items():
        if not (array.size and (array == np.float32(expected[what])).all()):
            raise UserError(
                f"{path}: {what} is {np.unique(array)[:3].tolist()}, expected {expected[what]:g} "
                f"by {MANIFEST}"
            )
