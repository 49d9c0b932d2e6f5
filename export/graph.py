"""A motion branch written as NIR, form `inputs`, and read back to the last bit.

events → affine_1 → lif_1 → affine_2 → … → lif_L → spikes
threshold_current → threshold_i → lif_i   for each i
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from hardware.graph import DT
from hardware.nir_file import read_nir
from mdft.errors import UserError
from mdft.files import replacing
from mdft.motion import MotionBranch
from mdft.neuron import GRID, INPUT_GRID

EVENTS, CURRENT, OUTPUT = "events", "threshold_current", "spikes"


def to_graph(branch: MotionBranch, *, per_neuron: bool = False, dt: float = DT) -> nir.NIRGraph:
    """The NIR graph of one pathway.

    u ← u + dt/τ·(−u + R·I), spike when u > v_threshold, then u ← 0 in the same step: with
    τ = dt/(1 − β) and R = τ/dt it is u ← β·u + I, the LIF that was trained. All arrays float32.

    Args:
        branch: its parameters are taken as they act, on the grid.
        per_neuron: whether the threshold current has a value for each neuron, and not one for
            all; its Linears are then identities, and columns of ones otherwise.
        dt: seconds a step.
    """
    size = branch.neurons
    spread = np.eye(size, dtype=np.float32) if per_neuron else np.ones((size, 1), np.float32)
    beta, theta = branch.beta, branch.v_threshold
    nodes: dict[str, nir.NIRNode] = {
        EVENTS: nir.Input(input_type={"input": np.array([branch.features])}),
        CURRENT: nir.Input(input_type={"input": np.array([spread.shape[1]])}),
    }
    edges, before = [], EVENTS
    for i, (weight_NF, bias_N) in enumerate(branch.grid_parameters(), start=1):
        affine, lif, threshold = f"affine_{i}", f"lif_{i}", f"threshold_{i}"
        nodes[affine] = nir.Affine(
            weight=weight_NF.detach().cpu().numpy().astype(np.float32),
            bias=bias_N.detach().cpu().numpy().astype(np.float32),
        )
        nodes[threshold] = nir.Linear(weight=spread)
        nodes[lif] = nir.LIF(
            tau=np.full(size, dt / (1 - beta), np.float32),
            r=np.full(size, 1 / (1 - beta), np.float32),
            v_leak=np.zeros(size, np.float32),
            v_reset=np.zeros(size, np.float32),
            v_threshold=np.full(size, theta, np.float32),
        )
        edges += [(before, affine), (affine, lif), (CURRENT, threshold), (threshold, lif)]
        before = lif
    nodes[OUTPUT] = nir.Output(output_type={"output": np.array([size])})
    return nir.NIRGraph(nodes, [*edges, (before, OUTPUT)])


def input_grids(branch: MotionBranch) -> dict[str, float]:
    """The power-of-two grid that each input's values lie on.

    b = β·δ(t−1) − δ(t) with δ on GRID and β = m/2^k lies on GRID/2^k; β has at most 5 bits.
    """
    return {EVENTS: INPUT_GRID, CURRENT: GRID / float(branch.beta).as_integer_ratio()[1]}


def write_graph(graph: nir.NIRGraph, path: Path) -> None:
    """Write a graph whole or not at all, after reading it back: every parameter bit-equal.

    Raises:
        UserError: what was read differs from what was written.
    """
    # Left to itself nir.write would destroy the old file when it fails half-way.
    with replacing(path) as temporary:
        nir.write(temporary, graph)
        check_equal(graph, read_nir(temporary), path)


def check_equal(written: nir.NIRGraph, read: nir.NIRGraph, path: Path) -> None:
    """Check that two graphs have the same edges, nodes, dtypes and bits.

    Raises:
        UserError: names the file and the first difference.
    """
    if sorted(written.edges) != sorted(read.edges) or set(written.nodes) != set(read.nodes):
        raise UserError(f"{path}: nodes or edges changed on the way through the file")
    for name, node in written.nodes.items():
        other = read.nodes[name].to_dict()
        for field, value in node.to_dict().items():
            if isinstance(value, np.ndarray):
                same = value.dtype == other[field].dtype and np.array_equal(value, other[field])
            else:
                same = field == "metadata" or value == other[field]
            if not same:
                raise UserError(f"{path}: {name}.{field} changed on the way through the file")
