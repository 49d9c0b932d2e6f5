"""Random graphs on the grid, without torch: what the hardware tests run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

GRID, INPUT_GRID, CURRENT_GRID = 2.0**-6, 2.0**-4, 2.0**-7
DT = 1e-4


def lif(size: int, beta: float = 0.5, theta: float = 1 + 2.0**-13, **changes) -> nir.LIF:
    fields = {
        "tau": DT / (1 - beta),
        "r": 1 / (1 - beta),
        "v_leak": 0,
        "v_reset": 0,
        "v_threshold": theta,
    } | changes
    tau, r, v_leak, v_reset, v_threshold = (np.full(size, v, np.float32) for v in fields.values())
    return nir.LIF(tau=tau, r=r, v_leak=v_leak, v_reset=v_reset, v_threshold=v_threshold)


def weights(rng: np.random.Generator, size: int, width: int, spread: float) -> np.ndarray:
    k = np.clip(np.round(rng.normal(0, spread, (size, width))), -127, 127)
    return (k * GRID).astype(np.float32)


def random_graph(
    rng: np.random.Generator, features: int = 24, size: int = 32, layers: int = 3, beta: float = 0.5
) -> nir.NIRGraph:
    """events → affine_i → lif_i …, threshold_current → every lif; fires at 5 to 40 %."""
    nodes: dict[str, nir.NIRNode] = {
        "events": nir.Input(input_type={"input": np.array([features])}),
        "threshold_current": nir.Input(input_type={"input": np.array([1])}),
    }
    edges, before, width = [], "events", features
    for i in range(1, layers + 1):
        spread = 34 * np.sqrt(24 / width) * (0.4 if i == 1 else 1.4)
        bias = (np.round(rng.normal(6, 6, size)) * GRID).astype(np.float32)
        nodes |= {
            f"affine_{i}": nir.Affine(weight=weights(rng, size, width, spread), bias=bias),
            f"threshold_{i}": nir.Linear(weight=np.ones((size, 1), np.float32)),
            f"lif_{i}": lif(size, beta),
        }
        edges += [
            (before, f"affine_{i}"),
            (f"affine_{i}", f"lif_{i}"),
            ("threshold_current", f"threshold_{i}"),
            (f"threshold_{i}", f"lif_{i}"),
        ]
        before, width = f"lif_{i}", size
    nodes["spikes"] = nir.Output(output_type={"output": np.array([size])})
    return nir.NIRGraph(nodes, [*edges, (before, "spikes")])


def hidden_out() -> nir.NIRGraph:
    """i → w → out → u → last → o: the hidden layer has the name of the output's key in a probe."""
    one = np.ones(2, np.float32)
    neurons = nir.LIF(2e-4 * one, 2 * one, 0 * one, one, 0 * one)
    nodes: dict[str, nir.NIRNode] = {
        "i": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(0.75 * np.eye(2)),
        "out": neurons,
        "u": nir.Linear(0.75 * np.eye(2)),
        "last": neurons,
        "o": nir.Output({"output": np.array([2])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def random_inputs(
    rng: np.random.Generator, features: int = 24, batch: int = 3, steps: int = 9
) -> dict[str, np.ndarray]:
    active = rng.random((batch, steps, features)) < 0.3
    events = np.where(active, rng.integers(1, 64, active.shape), 0) * INPUT_GRID
    current = rng.integers(-25, 25, (batch, steps, 1)) * CURRENT_GRID
    return {"events": events.astype(np.float32), "threshold_current": current.astype(np.float32)}


def grids() -> dict[str, float]:
    return {"events": INPUT_GRID, "threshold_current": CURRENT_GRID}


def write_probe(
    path: Path, pathway: str, inputs: dict, recording, outputs: dict[str, str] | None = None
) -> None:
    """probe.npz from a recording, as the contract names its keys; `outputs` if it is several."""
    arrays = {f"{pathway}.in.{k}": v for k, v in inputs.items()}
    arrays |= {f"{pathway}.spikes.{k}": v.astype(np.float32) for k, v in recording.spikes.items()}
    arrays |= {
        f"{pathway}.membrane.{k}": v.astype(np.float32) for k, v in recording.membranes.items()
    }
    for name, layer in (outputs or {}).items():
        carried = recording.spikes.get(layer, recording.membranes[layer])
        arrays[f"{pathway}.out.{name}"] = carried.astype(np.float32)
    if outputs is None:
        arrays[f"{pathway}.spikes.out"] = list(recording.spikes.values())[-1].astype(np.float32)
    np.savez(path, **arrays)
