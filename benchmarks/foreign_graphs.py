"""Fifty seeded feed-forward NIR graphs with parameters on no grid, as other tools train them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hardware.graph.graph import lower
from hardware.reference_float import reference_float

DT = 1e-4
GRAPHS, SAMPLES, STEPS = 50, 4, 100
Inputs = dict[str, np.ndarray]


@dataclass
class _Growing:
    """A chain under construction; `inputs` are the spikes or numbers that it is scaled with."""

    rng: np.random.Generator
    nodes: dict[str, nir.NIRNode]
    edges: list[tuple[str, str]]
    inputs: Inputs
    mixed: bool

    def put(self, name: str, node: nir.NIRNode) -> None:
        self.edges.append((next(reversed(self.nodes)), name))
        self.nodes[name] = node

    def constant(self, low: float, high: float, size: int) -> np.ndarray:
        """One number for the layer, or one for each neuron; log-uniform."""
        n = size if self.mixed else 1
        return np.exp(self.rng.uniform(np.log(low), np.log(high), n)) * np.ones(size)

    def neuron(self, size: int) -> nir.NIRNode:
        rng = self.rng
        tau = DT * self.constant(2, 60, size)
        fields: dict[str, Any] = {
            "r": np.ones(size) if rng.random() < 0.5 else tau / DT,
            "v_leak": np.full(size, rng.uniform(-0.2, 0.2) if rng.random() < 0.2 else 0.0),
            "v_threshold": self.constant(0.5, 1.5, size),
        }
        kind = rng.random()
        if kind < 0.15:
            fields["r"] = np.full(size, 1 / DT)
            del fields["v_leak"]
            return nir.IF(**fields, v_reset=np.zeros(size))
        if kind < 0.4:
            tau_syn = DT * self.constant(2, 20, size)
            return nir.CubaLIF(tau_syn, tau, **fields, w_in=tau_syn / DT, v_reset=np.zeros(size))
        reset = -rng.uniform(0.1, 0.4) if rng.random() < 0.2 else 0.0
        return nir.LIF(tau, **fields, v_reset=np.full(size, reset))

    def layer(self, i: int, before: int, size: int, last: bool) -> None:
        """Affine and neuron; the weights are scaled until the layer fires at a drawn rate."""
        rng = self.rng
        weight = rng.normal(0.3, 1, (size, before))
        bias = rng.normal(0, 0.5, size) if rng.random() < 0.5 else np.zeros(size)
        target = rng.uniform(0.05, 0.3)
        neuron = self.neuron(size)
        low, high = 1e-4, 1e4
        for _ in range(20):
            scale = np.sqrt(low * high)
            part = _Growing(rng, dict(self.nodes), list(self.edges), self.inputs, False)
            part.put(f"affine_{i}", nir.Affine(scale * weight, scale * bias))
            part.put(f"lif_{i}", neuron)
            part.put("output", nir.Output({"output": np.array([size])}))
            found = reference_float(lower(part.graph(), DT), self.inputs)
            low, high = (scale, high) if found.spikes[f"lif_{i}"].mean() < target else (low, scale)
        self.put(f"affine_{i}", nir.Affine(scale * weight, scale * bias))
        self.put(f"lif_{i}", neuron)
        if last:
            self.put("output", nir.Output({"output": np.array([size])}))

    def graph(self) -> nir.NIRGraph:
        return nir.NIRGraph(dict(self.nodes), list(self.edges))


def foreign_graph(seed: int) -> tuple[nir.NIRGraph, Inputs]:
    """Return a graph of 2 to 4 layers, 8 to 64 wide, and inputs (4, 100, width).

    Layers are Affine and LIF, CubaLIF or IF, with normal weights scaled to a firing rate of 5 to
    30 %; a third of the graphs have time constants and thresholds of their own for each neuron, a
    quarter an input of real numbers instead of spikes.
    """
    rng = np.random.default_rng(seed)
    width = int(rng.integers(8, 65))
    x = (rng.random((SAMPLES, STEPS, width)) < rng.uniform(0.05, 0.3)).astype(float)
    if rng.random() < 0.25:
        x = np.abs(rng.normal(0, 1, x.shape)) * x
    ends: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([width])})}
    g = _Growing(rng, ends, [], {"input": x}, bool(rng.random() < 1 / 3))
    layers = int(rng.integers(2, 5))
    for i in range(layers):
        size = int(rng.integers(8, 65))
        g.layer(i, width, size, i == layers - 1)
        width = size
    return g.graph(), g.inputs
