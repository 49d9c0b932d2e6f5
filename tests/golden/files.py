"""Where the golden traces lie, and how they are read, written and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nir
import numpy as np

from tests.golden import traces
from tests.golden.traces import Trace

FOLDER = Path(__file__).parent


def arrays_of(graph: nir.NIRGraph) -> Trace:
    """Every parameter of a graph as ``<node>.<field>``, and its edges in order."""
    found = {
        f"{name}.{field}": np.asarray(value)
        for name, node in graph.nodes.items()
        for field, value in vars(node).items()
        if isinstance(value, np.ndarray | np.generic)
    }
    return found | {"edges": np.array(sorted(graph.edges))}


def read(path: Path) -> Trace:
    """The arrays of a golden file, by its ending: .json of curves, .npz or .nir."""
    if path.suffix == ".json":
        return {name: np.array(curve) for name, curve in json.loads(path.read_text()).items()}
    if path.suffix == ".nir":
        return arrays_of(nir.read(path))
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def write(path: Path, made: Trace | nir.NIRGraph) -> None:
    """Write a trace, or a graph as .nir."""
    if isinstance(made, nir.NIRGraph):
        nir.write(path, made)
    elif path.suffix == ".json":
        curves = {name: curve.tolist() for name, curve in made.items()}
        path.write_text(json.dumps(curves, indent=1) + "\n")
    else:
        np.savez_compressed(path, allow_pickle=False, **made)


@dataclass(frozen=True)
class Golden:
    """One golden file.

    Attributes:
        make: computes it again, from the folder of the others.
        rtol: relative difference that other machines may show; 0 where every sum is exact.
    """

    make: Callable[[Path], Trace | nir.NIRGraph]
    rtol: float = 0.0


#: In this order: a trace may read a file before it. Losses are float64: BLAS, the vector width and
#: the number of threads change the order of their sums, by 2e-14 of a loss at most where measured
#: (tests/mdft/small.py), and in float32 by 1e-2 of it, as Adam and the spikes carry it on.
GOLDEN: dict[str, Golden] = {
    "baselines.json": Golden(lambda folder: traces.baselines(), rtol=1e-8),
    "losses.json": Golden(lambda folder: traces.losses(), rtol=1e-8),
    "network.nir": Golden(lambda folder: traces.network()),
    "simulators.npz": Golden(lambda folder: traces.simulators(nir.read(folder / "network.nir"))),
    "events.npz": Golden(lambda folder: traces.clip_events()),
    # Sine and exponential of the C library draw the clips: a byte of a frame may round otherwise.
    "rendered.json": Golden(lambda folder: traces.rendered(), rtol=1e-3),
    "order.json": Golden(lambda folder: traces.order(), rtol=1e-3),
}


def differences(old: Trace, new: Trace, rtol: float) -> list[str]:
    """A line for every array that was added, dropped or changed by more than rtol."""
    lines = [f"{name}: only in the old file" for name in old.keys() - new.keys()]
    lines += [f"{name}: only in the new one" for name in new.keys() - old.keys()]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            lines.append(f"{name}: {a.dtype}{a.shape} was, {b.dtype}{b.shape} is")
        elif rtol and not np.allclose(b, a, rtol=rtol, atol=0):
            with np.errstate(divide="ignore"):
                worst = np.max(np.abs(b - a)[a != b] / np.abs(a[a != b]))
            lines.append(f"{name}: off by up to {worst:.2g} of its value, {rtol:g} is allowed")
        elif not rtol and not np.array_equal(a, b):
            lines.append(f"{name}: {np.sum(a != b):,} of {a.size:,} values differ")
    return sorted(lines)
