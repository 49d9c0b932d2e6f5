"""NIR's own equations, node by node and step by step on the graph itself: no folding, no matrices
of ours, no topological order but a walk from the outputs back to the inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import nir
import numpy as np


class Plain:
    """One sample of a graph, stepped; `value(name)` is what a node sends at the current step."""

    def __init__(self, graph: nir.NIRGraph, dt: float, late: Edges = (), subtracts=False) -> None:
        """The edges `late` deliver what a node sent one step before, from neurons at rest."""
        self.graph, self.dt, self.late, self.subtracts = graph, dt, set(late), subtracts
        self.last: dict[str, np.ndarray] = {}
        self.past: dict[str, list[np.ndarray]] = {}
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
        self.last = dict(self.now)
        return {name: values.copy() for name, values in self.now.items()}

    def value(self, name: str) -> np.ndarray:
        if name not in self.now:
            x = sum(
                self.old(before) if (before, name) in self.late else self.value(before)
                for before in self.before[name]
            )
            self.now[name] = self.node(name, self.graph.nodes[name], np.asarray(x))
        return self.now[name]

    def old(self, name: str) -> np.ndarray:
        """What a node sent one step before; a node without memory of sources at rest at first."""
        if name in self.last:
            return self.last[name]
        n: Any = self.graph.nodes[name]
        if isinstance(n, nir.Input):
            return np.zeros(int(np.prod(n.input_type["input"])))
        if isinstance(n, nir.Delay) or hasattr(n, "v_threshold") or hasattr(n, "r"):
            return np.zeros(np.size(n.delay if isinstance(n, nir.Delay) else n.r))
        return self.node(name, n, np.asarray(sum(self.old(b) for b in self.before[name])))

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
        if isinstance(n, nir.Delay):
            past = self.past.setdefault(name, [])
            past.append(x)
            steps = [round(s / self.dt) for s in n.delay.ravel().tolist()]
            return np.array(
                [past[-1 - s][i] if s < len(past) else 0.0 for i, s in enumerate(steps)]
            )
        if isinstance(n, nir.Conv2d):
            return conv2d(n, x)
        if isinstance(n, nir.SumPool2d | nir.AvgPool2d):
            return pool2d(n, x, self.shape(self.before[name][0]))
        return self.neuron(name, n, x)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape (C, H, W) that a node sends."""
        n: Any = self.graph.nodes[name]
        if isinstance(n, nir.Conv2d):
            return (len(n.weight), *spatial(n, n.input_shape, n.weight.shape[2:], n.dilation))
        if isinstance(n, nir.SumPool2d | nir.AvgPool2d):
            c, *size = self.shape(self.before[name][0])
            return (c, *spatial(n, size, n.kernel_size, (1, 1)))
        return np.shape(n.r) if hasattr(n, "r") else tuple(n.input_type["input"])

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
        to = v - p["v_threshold"] if self.subtracts else p["v_reset"]
        self.v[name] = np.array([r if s else a for a, r, s in zip(v, to, z, strict=True)])
        return z.astype(float)


Edges = Iterable[tuple[str, str]]


def spatial(n, size, kernel, dilation) -> tuple[int, ...]:
    """How many positions a kernel has: those at which it lies inside the padded image."""
    found = []
    for axis, length in enumerate(size):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if str(n.padding) in ("same", "valid"):
            padded = length + (reach - 1) * (str(n.padding) == "same")
        else:
            padded = length + 2 * int(n.padding[axis])
        found.append(len(range(0, padded - reach + 1, int(n.stride[axis]))))
    return tuple(found)


def first(n, axis: int, kernel, dilation) -> int:
    """How many zeros are in front of the image."""
    if str(n.padding) == "valid":
        return 0
    if str(n.padding) == "same":
        return int(dilation[axis] * (kernel[axis] - 1)) // 2
    return int(n.padding[axis])


def conv2d(n: Any, x: np.ndarray) -> np.ndarray:
    out, each, kh, kw = n.weight.shape
    height, width = n.input_shape
    image = x.reshape(each * int(n.groups), height, width)
    rows, columns = spatial(n, n.input_shape, (kh, kw), n.dilation)
    y = np.zeros((out, rows, columns))
    for o, i, j in np.ndindex(y.shape):
        group = o // (out // int(n.groups))
        total = float(n.bias[o])
        for c, a, b in np.ndindex(each, kh, kw):
            at = i * n.stride[0] + a * n.dilation[0] - first(n, 0, (kh, kw), n.dilation)
            to = j * n.stride[1] + b * n.dilation[1] - first(n, 1, (kh, kw), n.dilation)
            if 0 <= at < height and 0 <= to < width:
                total += float(n.weight[o, c, a, b]) * image[group * each + c, at, to]
        y[o, i, j] = total
    return y.ravel()


def pool2d(n, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    image = x.reshape(shape)
    kh, kw = (int(k) for k in n.kernel_size)
    y = np.zeros((shape[0], *spatial(n, shape[1:], (kh, kw), (1, 1))))
    for c, i, j in np.ndindex(y.shape):
        for a, b in np.ndindex(kh, kw):
            at, to = i * n.stride[0] + a - n.padding[0], j * n.stride[1] + b - n.padding[1]
            if 0 <= at < shape[1] and 0 <= to < shape[2]:
                y[c, i, j] += image[c, at, to]
    return y.ravel() / (kh * kw if isinstance(n, nir.AvgPool2d) else 1)


FIELDS = {"tau", "tau_mem", "tau_syn", "r", "v_leak", "v_reset", "v_threshold", "w_in"}


def run(
    graph: nir.NIRGraph,
    inputs: dict[str, np.ndarray],
    dt: float,
    late: Edges = (),
    subtracts: bool = False,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of all nodes and membranes of all neurons, (B, S, N), for inputs (B, S, width)."""
    batch, steps = next(iter(inputs.values())).shape[:2]
    values, membranes = [], []
    for b in range(batch):
        plain = Plain(graph, dt, late, subtracts)
        for t in range(steps):
            values.append(plain.step({name: x[b, t] for name, x in inputs.items()}))
            membranes.append(dict(plain.membrane))

    def stack(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {n: np.array([r[n] for r in rows]).reshape(batch, steps, -1) for n in rows[0]}

    return stack(values), stack(membranes)
