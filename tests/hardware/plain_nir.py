"""NIR's own equations, node by node and step by step on the graph itself: no folding, no matrices
of ours, no topological order but a walk from the outputs back to the inputs."""

from __future__ import annotations

import nir
import numpy as np


class Plain:
    """One sample of a graph, stepped; `value(name)` is what a node sends at the current step."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        self.graph, self.dt = graph, dt
        self.before: dict[str, list[str]] = {
            name: [a for a, b in graph.edges if b == name] for name in graph.nodes
        }
        self.v: dict[str, np.ndarray] = {}
        self.i: dict[str, np.ndarray] = {}
        self.membrane: dict[str, np.ndarray] = {}
        self.now: dict[str, np.ndarray] = {}
        self.inner: dict[str, Plain] = {}

    def step(self, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Values of all nodes at the next step, flat."""
        self.now = {name: np.asarray(values, float).ravel() for name, values in x.items()}
        for name in self.graph.nodes:
            self.value(name)
        return {name: values.copy() for name, values in self.now.items()}

    def value(self, name: str) -> np.ndarray:
        if name not in self.now:
            x = sum(self.value(before) for before in self.before[name])
            self.now[name] = self.node(name, self.graph.nodes[name], np.asarray(x))
        return self.now[name]

    def node(self, name: str, n: nir.NIRNode, x: np.ndarray) -> np.ndarray:
        if isinstance(n, nir.Output | nir.Flatten):
            return x
        if isinstance(n, nir.NIRGraph):  # a graph of one Input and one Output
            (given,), (sent,) = n.inputs, n.outputs
            return self.inner.setdefault(name, Plain(n, self.dt)).step({given: x})[sent]
        if isinstance(n, nir.Linear):
            return n.weight.astype(float) @ x
        if isinstance(n, nir.Affine):
            return n.weight.astype(float) @ x + n.bias
        if isinstance(n, nir.Scale):
            return n.scale.ravel().astype(float) * x
        if isinstance(n, nir.Threshold):
            self.membrane[name] = x
            return (x > n.threshold.ravel()).astype(float)
        return self.neuron(name, n, x)

    def neuron(self, name: str, n, x: np.ndarray) -> np.ndarray:
        dt, v = self.dt, self.v.get(name, np.zeros(x.size))
        p = {k: np.asarray(a, float).ravel() for k, a in vars(n).items() if k in FIELDS}
        if "tau_syn" in p:  # tau_syn · dI/dt = −I + w_in · S
            i = self.i.get(name, np.zeros(x.size))
            x = self.i[name] = i + dt / p["tau_syn"] * (-i + p["w_in"] * x)
        tau = p.get("tau", p.get("tau_mem"))
        # tau · dv/dt = (v_leak − v) + R · I, or dv/dt = R · I
        slope = p["r"] * x if tau is None else ((p["v_leak"] - v) + p["r"] * x) / tau
        v = v + dt * slope
        self.membrane[name] = v
        if "v_threshold" not in p:
            self.v[name] = v
            return v
        z = v > p["v_threshold"]
        self.v[name] = np.array([r if s else a for a, r, s in zip(v, p["v_reset"], z, strict=True)])
        return z.astype(float)


FIELDS = {"tau", "tau_mem", "tau_syn", "r", "v_leak", "v_reset", "v_threshold", "w_in"}


def run(
    graph: nir.NIRGraph, inputs: dict[str, np.ndarray], dt: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of all nodes and membranes of all neurons, (B, S, N), for inputs (B, S, width)."""
    batch, steps = next(iter(inputs.values())).shape[:2]
    values, membranes = [], []
    for b in range(batch):
        plain = Plain(graph, dt)
        for t in range(steps):
            values.append(plain.step({name: x[b, t] for name, x in inputs.items()}))
            membranes.append(dict(plain.membrane))

    def stack(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {n: np.array([r[n] for r in rows]).reshape(batch, steps, -1) for n in rows[0]}

    return stack(values), stack(membranes)
