"""Random graphs of images, poolings, delays, cycles and neurons that all differ."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

DT = 1e-4
Graph = tuple[nir.NIRGraph, list[tuple[str, str]]]


class Chain:
    """A chain of nodes, whose edges back lead to nodes that only the chain reaches.

    All numbers lie on grids of powers of two, so that sums are exact in any order.
    """

    def __init__(self, seed: int, mixed: bool) -> None:
        self.rng, self.mixed = np.random.default_rng(seed), mixed
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.late: list[tuple[str, str]] = []
        self.shape: tuple[int, ...] = ()
        self.neurons: list[tuple[str, tuple[int, ...]]] = []

    def put(self, node: nir.NIRNode, shape: tuple[int, ...]) -> str:
        name = f"{len(self.nodes):02d}_{type(node).__name__.lower()}"
        if self.nodes:
            self.edges.append((next(reversed(self.nodes)), name))
        self.nodes[name], self.shape = node, shape
        return name

    def weights(self, *shape: int) -> np.ndarray:
        return np.round(self.rng.normal(0.3, 0.6, shape).clip(-1.9, 1.9) * 32) / 32

    def image(self) -> None:
        """A Conv2d, and sometimes a pooling."""
        rng = self.rng
        c, *size = self.shape
        groups = int(rng.choice([g for g in (1, 2) if c % g == 0]))
        kernel = rng.integers(1, 4, 2)
        stride, dilation = rng.integers(1, 3, 2), rng.integers(1, 3, 2)
        padding: object = rng.integers(1, 3, 2) if rng.random() < 0.5 else "same"
        if padding == "same" if isinstance(padding, str) else False:
            stride = np.ones(2, int)
        reach = dilation * (kernel - 1) + 1
        around = reach - 1 if isinstance(padding, str) else 2 * np.asarray(padding)
        dilation = np.where(np.array(size) + around < reach, 1, dilation)
        reach = dilation * (kernel - 1) + 1
        around = reach - 1 if isinstance(padding, str) else 2 * np.asarray(padding)
        out = 2
        spatial = (np.array(size) + around - reach) // stride + 1
        weight = self.weights(out, c // groups, *kernel)
        bias = self.weights(out) / 2
        given: tuple[Any, ...] = (tuple(size), weight, stride, padding, dilation, groups, bias)
        conv = nir.Conv2d(*given)
        self.put(conv, (out, *map(int, spatial)))
        if rng.random() < 0.5 and min(self.shape[1:]) > 1:
            kind = nir.SumPool2d if rng.random() < 0.5 else nir.AvgPool2d
            two = np.array([2, 2])
            pad = rng.integers(0, 2, 2)
            spatial = (np.array(self.shape[1:]) + 2 * pad - 2) // 2 + 1
            self.put(kind(two, two, pad), (out, *map(int, spatial)))

    def neuron(self) -> None:
        """A LIF or CubaLIF, with constants of its own for each neuron if `mixed`."""
        rng, shape = self.rng, self.shape

        def some(*choices: float) -> np.ndarray:
            return rng.choice(choices, shape if self.mixed else (1,)) * np.ones(shape)

        tau, theta = DT * some(2.0, 4.0), some(0.5, 1.0, 1.5) + 2.0**-12
        zero = np.zeros(shape)
        if rng.random() < 0.5:
            node: nir.NIRNode = nir.LIF(tau, some(1.0, 2.0), zero, theta, zero)
        else:
            node = nir.CubaLIF(DT * some(2.0, 4.0), tau, some(2.0), zero, theta, zero, some(2.0))
        name = self.put(node, shape)
        self.neurons.append((name, shape))
        if rng.random() < 0.5:
            self.back(name, shape, name, shape)

    def back(self, a: str, sent: tuple[int, ...], b: str, taken: tuple[int, ...]) -> None:
        """Connect vectors by a recurrent Affine, other shapes by a Scale; half of the long cycles
        have a Delay, of 1 to 3 steps in each channel."""
        if len(sent) == 1 == len(taken):
            node = nir.Affine(self.weights(taken[0], sent[0]) / 2, self.weights(taken[0]) / 4)
        elif sent == taken:
            node = nir.Scale(self.weights(*sent))
        else:
            return
        name = f"w_{a}_{b}"
        self.nodes = {name: node} | self.nodes  # the chain's last node stays last
        self.edges += [(a, name), (name, b)]
        if a != b and self.rng.random() < 0.5:
            last, name = name, f"d_{a}_{b}"
            self.nodes = {name: nir.Delay(DT * self.rng.integers(1, 4, taken))} | self.nodes
            self.edges = [*self.edges[:-1], (last, name), (name, b)]
        self.late.append((name, b))

    def delay(self) -> None:
        self.put(nir.Delay(DT * self.rng.integers(0, 4, self.shape)), self.shape)


def random_chain(seed: int, mixed: bool = True) -> Graph:
    """Return a graph, and its edges that deliver one step later."""
    g = Chain(seed, mixed)
    rng = g.rng
    shape = (2, *map(int, rng.integers(3, 5, 2)))
    g.put(nir.Input({"input": np.array(shape)}), shape)
    g.image()
    g.neuron()
    if rng.random() < 0.3:
        g.delay()
    size = int(np.prod(g.shape))
    g.put(nir.Flatten({"input": np.array(g.shape)}, 0, -1), (size,))
    for _ in range(int(rng.integers(1, 3))):
        out = int(rng.integers(2, 5))
        g.put(nir.Affine(g.weights(out, g.shape[0]), g.weights(out) / 4), (out,))
        if rng.random() < 0.3:
            g.delay()
        g.neuron()
    vectors = [x for x in g.neurons if len(x[1]) == 1]
    if len(vectors) == 2:
        (a, taken), (b, sent) = vectors
        g.back(b, sent, a, taken)
    g.put(nir.Output({"output": np.array(g.shape)}), g.shape)
    return nir.NIRGraph(g.nodes, g.edges, type_check=False), g.late


def spikes_in(
    graph: nir.NIRGraph, seed: int, batch: int = 2, steps: int = 6
) -> dict[str, np.ndarray]:
    """Return random spikes (B, S, width) by input."""
    rng = np.random.default_rng(seed)
    widths = {n: int(np.prod(x.input_type["input"])) for n, x in graph.inputs.items()}
    return {n: (rng.random((batch, steps, w)) < 0.4).astype(float) for n, w in widths.items()}


def lava_can(graph: nir.NIRGraph, late: list[tuple[str, str]]) -> bool:
    """Whether every cycle delivers at least as many steps later as it has layers."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)

    def spare(name: str) -> int:
        node = graph.nodes[name]
        if isinstance(node, nir.Delay):
            return round(float(np.min(node.delay)) / DT)
        return -int(hasattr(node, "v_threshold"))

    def walk(path: tuple[str, ...], steps: int) -> bool:
        for b in after[path[-1]]:
            then = steps + ((path[-1], b) in late)
            if (b == path[0] and then < 0) or (
                b not in path and not walk((*path, b), then + spare(b))
            ):
                return False
        return True

    return all(walk((b,), spare(b)) for _, b in late)
