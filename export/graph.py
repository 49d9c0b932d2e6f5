"""Write a motion branch as NIR, form `inputs`, and check that the file is bit-equal.

events → affine_1 → lif_1 → affine_2 → … → lif_L → spikes
threshold_current → threshold_i → lif_i   for each i
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from export.contract import CURRENT, EVENTS, OUTPUT, layout
from export.files import RConvention
from hardware.graph.network import DT
from mdft.errors import UserError
from mdft.files import replacing
from mdft.lif.grid import GRID, INPUT_GRID
from mdft.model.motion import MotionBranch


def to_graph(
    branch: MotionBranch,
    *,
    per_neuron: bool = False,
    dt: float = DT,
    r_convention: RConvention = "unit-gain",
) -> nir.NIRGraph:
    """Return the NIR graph of one pathway.

    u ← u + dt/τ·(−u + R·I), spike when u > v_threshold, then u ← 0 in the same step: with
    τ = dt/(1 − β) and R·I = τ/dt times the branch's current it is u ← β·u + I, the LIF that was
    trained. All arrays float32.

    Args:
        branch: the branch; its quantised parameters are exported.
        per_neuron: whether the threshold current has a value per neuron instead of one for all;
            its Linears are then scaled identities, otherwise columns of one value.
        dt: seconds per step.
        r_convention: see `gain`.
    """
    size, scale = branch.neurons, gain(branch.beta)[r_convention][1]
    spread = np.eye(size) if per_neuron else np.ones((size, 1))
    nodes: dict[str, nir.NIRNode] = {
        EVENTS: nir.Input(input_type={"input": np.array([branch.features])}),
        CURRENT: nir.Input(input_type={"input": np.array([spread.shape[1]])}),
    }
    for i, (weight_NF, bias_N) in enumerate(grid_arrays(branch), start=1):
        nodes[f"affine_{i}"] = affine(weight_NF, bias_N, scale)
        nodes[f"threshold_{i}"] = nir.Linear(weight=(spread * scale).astype(np.float32))
        nodes[f"lif_{i}"] = lif(branch, size, dt, r_convention)
    nodes[OUTPUT] = nir.Output(output_type={"output": np.array([size])})
    return nir.NIRGraph(nodes, sorted(layout("inputs", branch.layers)[1]))


def gain(beta: float) -> dict[RConvention, tuple[float, float]]:
    """Return, by convention, (r, factor of the weights), whose product is τ/dt = 1/(1 − β).

    ``unit-gain``: r = τ/dt and the trained weights; for snnTorch and SpikingJelly.
    ``one``: r = 1 and weights times τ/dt; for readers that ignore r. Exact in float32 if τ/dt is a
    power of two.
    """
    return {"unit-gain": (1 / (1 - beta), 1.0), "one": (1.0, 1 / (1 - beta))}


def grid_arrays(branch: MotionBranch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the quantised weight (N,F) and bias (N,) of each layer, float64."""
    return [
        (
            weight_NF.detach().cpu().numpy().astype(float),
            bias_N.detach().cpu().numpy().astype(float),
        )
        for weight_NF, bias_N in branch.grid_parameters()
    ]


def affine(weight: np.ndarray, bias: np.ndarray, scale: float) -> nir.Affine:
    """Return an Affine of float32 arrays, both multiplied by `scale`."""
    return nir.Affine(
        weight=(weight * scale).astype(np.float32), bias=(bias * scale).astype(np.float32)
    )


def lif(branch: MotionBranch, size: int, dt: float, r_convention: RConvention) -> nir.LIF:
    """Return the branch's LIF for `size` neurons with equal constants."""
    beta = branch.beta
    return nir.LIF(
        tau=np.full(size, dt / (1 - beta), np.float32),
        r=np.full(size, gain(beta)[r_convention][0], np.float32),
        v_leak=np.zeros(size, np.float32),
        v_reset=np.zeros(size, np.float32),
        v_threshold=np.full(size, branch.v_threshold, np.float32),
    )


def current_range(branch: MotionBranch, thetas: tuple[float, float]) -> tuple[float, float]:
    """Return the smallest and largest threshold current for thresholds between two values.

    b = β·δ(t−1) − δ(t), where δ = θ − θ0 on GRID, and 0 before the first step.
    """
    low, high = (GRID * round((theta - branch.theta_0) / GRID) for theta in thetas)
    return branch.beta * min(low, 0.0) - high, branch.beta * max(high, 0.0) - low


def input_grids(branch: MotionBranch) -> dict[str, float]:
    """Return the power-of-two grid of each input's values, form `inputs`."""
    return {EVENTS: INPUT_GRID, CURRENT: branch.current_grid}


def write_graph(graph: nir.NIRGraph, path: Path) -> None:
    """Write a graph atomically, after checking that a reading of the file is bit-equal.

    Raises:
        UserError: the graph that was read differs from the one that was written.
    """
    # nir.write alone would destroy the old file if it failed.
    with replacing(path) as temporary:
        nir.write(temporary, graph)
        check_equal(graph, nir.read(temporary), path)


def check_equal(written: nir.NIRGraph, read: nir.NIRGraph, path: Path) -> None:
    """Check that two graphs have the same edges, nodes, dtypes and bits.

    Raises:
        UserError: they differ; the message has the file and the first difference.
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
