"""Random feed-forward NIR graphs of every node type, with skips, sums and several ends."""

from __future__ import annotations

from dataclasses import dataclass, field

import nir
import numpy as np

DT = 1e-4
FIRING = ("LIF", "IF", "CubaLIF")
GRADED = ("LI", "CubaLI", "I")


@dataclass
class Growing:
    """A graph under construction. In `lava` only what Lava's LIF can express, on a grid.

    With it every node has one decay, and thresholds and gains of its own are powers of two.
    """

    rng: np.random.Generator
    lava: bool
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def put(self, node: nir.NIRNode, size: int, *before: str) -> str:
        name = f"{type(node).__name__.lower()}_{len(self.nodes)}"
        self.nodes[name], self.sizes[name] = node, size
        self.edges += [(b, name) for b in before]
        return name

    def some(self, low: float, high: float, size: int) -> np.ndarray:
        """Parameters: one of a few powers of two for the whole node, or any for each neuron."""
        if self.lava:
            return np.full(size, 2.0 ** np.round(np.log2(self.rng.uniform(low, high))))
        return self.rng.uniform(low, high, size)

    def weights(self, rows: int, columns: int) -> np.ndarray:
        w = self.rng.normal(0.3, 1.2, (rows, columns)) / np.sqrt(columns)
        return np.round(np.clip(w, -1.9, 1.9) * 64) / 64 if self.lava else w

    def affine(self, x: str, size: int) -> str:
        weight = self.weights(size, self.sizes[x])
        if self.rng.random() < 0.3:
            return self.put(nir.Linear(weight), size, x)
        return self.put(nir.Affine(weight, self.weights(size, 1)[:, 0] / 2 + 0.25), size, x)

    def neuron(self, kind: str, *before: str) -> str:
        n = self.sizes[before[0]]
        tau, r = DT * self.some(1.5, 9, n), self.some(0.6, 3, n)
        leak = self.some(0.1, 0.3, n) if self.rng.random() < 0.4 else np.zeros(n)
        theta, reset = self.some(0.4, 1.1, n), np.zeros(n)
        if self.rng.random() < 0.4 and not (self.lava and kind == "CubaLIF"):
            reset = -self.some(0.1, 0.3, n)
        fields: dict[str, np.ndarray] = {"tau": tau, "r": r, "v_leak": leak}
        if kind in ("IF", "I"):
            fields = {"r": r / DT / 4}
        if kind.startswith("Cuba"):
            tau_syn = DT * self.some(1, 3, n)
            fields = fields | {"tau_syn": tau_syn, "tau_mem": tau, "w_in": self.some(1, 4, n)}
            del fields["tau"]
        if kind in FIRING:
            fields |= {"v_threshold": theta, "v_reset": reset}
        return self.put(getattr(nir, kind)(**fields), n, *before)


def random_any(seed: int, lava: bool = False) -> nir.NIRGraph:
    """A graph of 3 to 5 neuron nodes; every loose end gets an Output."""
    g = Growing(np.random.default_rng(seed), lava)
    rng = g.rng
    image = g.put(nir.Input({"input": np.array([2, 3])}), 6)
    flat = g.put(nir.Flatten({"input": np.array([2, 3])}, 0, -1), 6, image)
    ends = [
        g.put(nir.Scale(g.some(0.5, 1.5, 6)), 6, flat),
        g.put(nir.Input({"input": np.array([2])}), 2),
    ]
    fired: list[str] = []
    for i in range(int(rng.integers(3, 6))):
        size = int(rng.integers(3, 6))
        # The newest signal, and sometimes an older one beside it: a skip edge.
        sources = [fired[-1] if fired else ends[0]]
        older = [x for x in (*ends, *fired[:-1]) if x not in sources]
        if i == 0 or rng.random() < 0.7:
            sources.append(older[int(rng.integers(len(older)))])
        currents = [g.affine(x, size) for x in sources]
        firing = lava or rng.random() < 0.8
        kind = str(rng.choice(FIRING if firing else GRADED))
        fired.append(g.neuron(kind, *currents))
    if rng.random() < 0.6:  # a graded end
        g.neuron(str(rng.choice(GRADED)), g.affine(fired[-1], 3))
    used = {a for a, _ in g.edges}
    for name in [n for n in g.nodes if n not in used]:
        if isinstance(g.nodes[name], nir.Input):
            sink = g.neuron("LIF", g.affine(name, 3))
            g.put(nir.Output({"output": np.array([3])}), 3, sink)
        else:
            g.put(nir.Output({"output": np.array([g.sizes[name]])}), g.sizes[name], name)
    if rng.random() < 0.5:  # a second Output on a layer that also feeds others
        g.put(nir.Output({"output": np.array([g.sizes[fired[0]]])}), g.sizes[fired[0]], fired[0])
    if not lava and rng.random() < 0.5:  # an Output after a matrix: no neuron at the end
        g.put(nir.Output({"output": np.array([2])}), 2, g.affine(fired[0], 2))
    return nir.NIRGraph(g.nodes, g.edges)


def any_inputs(graph: nir.NIRGraph, seed: int, steps: int = 9) -> dict[str, np.ndarray]:
    """Sixteenths from 0 to 2, half of them 0: (3, S, width)."""
    rng = np.random.default_rng(1000 + seed)
    shapes = {n: int(np.prod(node.input_type["input"])) for n, node in graph.inputs.items()}
    return {
        n: rng.integers(0, 33, (3, steps, w)) / 16 * (rng.random((3, steps, w)) < 0.5)
        for n, w in shapes.items()
    }
