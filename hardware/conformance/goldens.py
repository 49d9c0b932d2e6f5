"""The golden graphs: one idea each, with constants whose products are short binary fractions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from hardware.conformance.evaluate import evaluate

DT, STEPS, N = 1e-4, 16, 3


@dataclass(frozen=True)
class Golden:
    """One row: a graph and inputs (S, *shape) by name; `about` says what it is for."""

    name: str
    about: str
    graph: nir.NIRGraph
    inputs: dict[str, np.ndarray]
    dt: float = DT

    def outputs(self) -> dict[str, np.ndarray]:
        """The exact values (S, *shape) of each Output, as float64."""
        flat = flattened(self.graph)
        found = evaluate(flat, self.inputs, self.dt)
        return {name: values.astype(np.float64) for name, values in found.items()}


def flattened(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph without graphs inside it, for those with one Input `input` and Output `output`."""
    nodes, edges = {}, [(str(a), str(b)) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[name] = node
            continue
        inner = {k: n for k, n in node.nodes.items() if k not in ("input", "output")}
        nodes |= {f"{name}.{k}": n for k, n in inner.items()}
        first = next(b for a, b in node.edges if a == "input")
        last = next(a for a, b in node.edges if b == "output")
        edges = [
            (f"{name}.{last}" if a == name else a, f"{name}.{first}" if b == name else b)
            for a, b in edges
        ]
        edges += [
            (f"{name}.{a}", f"{name}.{b}") for a, b in node.edges if a in inner and b in inner
        ]
    return nir.NIRGraph(nodes, edges, type_check=False)


def full(*values: float) -> np.ndarray:
    """A float32 parameter of N neurons; one value holds for all."""
    return np.resize(np.array(values, np.float32), N)


def lif(beta: Any = 0.5, gain: Any = 1.0, dt: float = DT, **changed: Any) -> nir.LIF:
    """A LIF with 1 − dt/τ = β and r·dt/τ = gain."""
    decay = 1 - np.asarray(full(*np.atleast_1d(beta)), float)
    fields = {
        "tau": dt / decay,
        "r": np.atleast_1d(gain) / decay,
        "v_leak": full(0),
        "v_threshold": full(1.03125),
        "v_reset": full(0),
    }
    fields |= changed
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in fields.items()}
    return nir.LIF(**arrays)


def cuba(**changed: Any) -> nir.CubaLIF:
    """A CubaLIF with dt/τ_syn = 1/2, dt/τ_mem = 1/4 and gain 1 in both."""
    fields = {
        "tau_syn": full(2 * DT),
        "tau_mem": full(4 * DT),
        "r": full(4),
        "v_leak": full(0),
        "v_threshold": full(1.03125),
        "v_reset": full(0),
        "w_in": full(2),
    }
    fields |= changed
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in fields.items()}
    return nir.CubaLIF(**arrays)


WEIGHT = np.array([[0.5, 0.75, -0.25], [0.25, 0.5, 0.5], [-0.25, 1.0, 0.25]], np.float32)


def drive(*shape: int, seed: int = 1) -> np.ndarray:
    """Spikes (S, *shape) with a rate of 1/2."""
    rng = np.random.default_rng(seed)
    return (rng.random((STEPS, *shape)) < 0.5).astype(np.float32)


def chain(*nodes: nir.NIRNode, shape: tuple[int, ...] = (N,), out: tuple[int, ...] = (N,)) -> Any:
    """Input → nodes → Output."""
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    ends = (nir.Input({"input": np.array(shape)}), nir.Output({"output": np.array(out)}))
    every = dict(zip(names, (ends[0], *nodes, ends[1]), strict=True))
    return nir.NIRGraph(every, list(pairwise(names)))


def after_linear(name: str, about: str, *nodes: nir.NIRNode, dt: float = DT) -> Golden:
    """Input → Linear → nodes → Output, driven by spikes."""
    return Golden(name, about, chain(nir.Linear(WEIGHT.copy()), *nodes), {"input": drive(N)}, dt)


def joined(name: str, about: str, nodes: dict[str, nir.NIRNode], edges: Any, inputs: Any) -> Golden:
    """A graph of any form between Inputs of width N and the Output."""
    ends: dict[str, nir.NIRNode] = {k: nir.Input({"input": np.array([N])}) for k in inputs}
    ends["output"] = nir.Output({"output": np.array([N])})
    return Golden(name, about, nir.NIRGraph(ends | nodes, edges), inputs)


def neurons() -> list[Golden]:
    """Every neuron of NIR with its constants varied, one at a time."""
    g = after_linear
    slow = DT * 10
    return [
        g("lif", "β = 1/2, r = τ/dt", lif()),
        g("lif-beta-3/4", "β = 3/4, r = τ/dt", lif(0.75)),
        g("lif-beta-31/32", "β = 31/32, r = τ/dt", lif(31 / 32)),
        g("lif-beta-0", "β = 0, r = 1", lif(0.0)),
        g("lif-r-1", "β = 1/2, r = 1", lif(gain=0.5, v_threshold=full(0.515625))),
        g("lif-r-3", "β = 1/2, r = 3", lif(gain=1.5)),
        g("lif-r-mixed", "r differs between neurons", lif(gain=full(1, 2, 0.5))),
        g("lif-beta-mixed", "τ differs between neurons", lif((0.5, 0.75, 0.25))),
        g("lif-threshold-mixed", "", lif(v_threshold=full(1.03125, 0.53125, 0.78125))),
        g("lif-leak", "v_leak = 1/4", lif(v_leak=full(0.25))),
        g("lif-reset-down", "v_reset = −1/2", lif(v_reset=full(-0.5))),
        g("lif-reset-up", "v_reset = 1/4", lif(v_reset=full(0.25))),
        g(
            "lif-leak-and-reset",
            "v_leak = v_reset = 1/4",
            lif(v_leak=full(0.25), v_reset=full(0.25)),
        ),
        g("lif-tie", "v = v_threshold occurs: no spike", lif(v_threshold=full(0.75, 0.5, 1.0))),
        g("lif-dt", "dt = 10⁻³", lif(dt=slow), dt=slow),
        g("lif-lif", "two layers, no delay between", lif(), nir.Linear(WEIGHT.T.copy()), lif(0.75)),
        g("if", "r = 1/dt", nir.IF(full(1 / DT), full(1.03125), full(0))),
        g("if-r-1", "r = 1: dt·r = 10⁻⁴", nir.IF(full(1), full(1.03125 * DT), full(0))),
        g("if-r-mixed", "", nir.IF(full(1 / DT, 0.5 / DT, 2 / DT), full(1.03125), full(0))),
        g("if-reset", "v_reset = −1/2", nir.IF(full(1 / DT), full(1.03125), full(-0.5))),
        g("if-tie", "v = v_threshold occurs", nir.IF(full(1 / DT), full(1.0), full(0))),
        g("cubalif", "w_in = τ_syn/dt, r = τ_mem/dt", cuba()),
        g("cubalif-w-1", "w_in = 1, r = τ_mem/dt", cuba(w_in=full(1), v_threshold=full(0.515625))),
        g("cubalif-r-1", "r = 1", cuba(r=full(1), v_threshold=full(0.2578125))),
        g("cubalif-leak", "v_leak = 1/4", cuba(v_leak=full(0.25))),
        g("cubalif-reset", "v_reset = −1/2", cuba(v_reset=full(-0.5))),
        g("cubalif-tau-mixed", "", cuba(tau_syn=full(2 * DT, 4 * DT, DT), w_in=full(2, 4, 1))),
        g("li", "sends v", nir.LI(full(2 * DT), full(2), full(0))),
        g("li-leak", "v_leak = 1/4", nir.LI(full(4 * DT), full(4), full(0.25))),
        g("cubali", "", nir.CubaLI(full(2 * DT), full(4 * DT), full(4), full(0), full(2))),
        g("i", "v += dt·r·I", nir.I(full(1 / DT))),
        g("threshold", "a tie occurs", nir.Threshold(full(0.75))),
    ]


def maps() -> list[Golden]:
    """Every node without a state that is no neuron."""

    def image(name: str, about: str, node: Any, *out: int, of: tuple[int, ...] = (2, 5, 6)):
        graph = chain(node, shape=of, out=out)
        return Golden(name, about, graph, {"input": drive(*of)})

    rng = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        return (rng.integers(-4, 5, shape) / 8).astype(np.float32)

    none, zero = np.zeros(3, np.float32), (0, 0)
    bias = np.array([0.25, -0.25, 0.125], np.float32)
    two = np.array([2, 2])
    conv = nir.Conv2d((5, 6), weight(3, 2, 3, 3), 1, 0, 1, 1, bias.copy())
    constants = (2 * DT, 2, 0, 0.53125, 0)
    image_lif = nir.LIF(*(np.full((3, 3, 4), c, np.float32) for c in constants))
    flat = nir.Flatten({"input": np.array([2, 2, 3])}, 0, -1)
    matrix = nir.Linear(weight(3, 12))
    return [
        Golden("linear", "W·x", chain(nir.Linear(WEIGHT.copy())), {"input": drive(N)}),
        Golden(
            "affine",
            "W·x + b, then a LIF",
            chain(nir.Affine(WEIGHT.copy(), bias.copy()), lif()),
            {"input": drive(N)},
        ),
        after_linear("scale", "s ⊙ x, then a LIF", nir.Scale(full(1, 2, 0.5)), lif()),
        Golden(
            "flatten",
            "in C order",
            chain(flat, matrix, lif(v_threshold=full(0.53125)), shape=(2, 2, 3)),
            {"input": drive(2, 2, 3)},
        ),
        image(
            "conv1d",
            "stride 2, padding 1",
            nir.Conv1d(7, weight(3, 2, 3), 2, 1, 1, 1, bias.copy()),
            *(3, 4),
            of=(2, 7),
        ),
        image(
            "conv2d", "", nir.Conv2d((5, 6), weight(3, 2, 3, 3), 1, 0, 1, 1, bias.copy()), 3, 3, 4
        ),
        image(
            "conv2d-stride-padding",
            "stride (2, 1), padding (1, 0)",
            nir.Conv2d((5, 6), weight(3, 2, 2, 2), (2, 1), (1, 0), 1, 1, none),
            *(3, 3, 5),
        ),
        image(
            "conv2d-same",
            "padding 'same'",
            nir.Conv2d((5, 6), weight(3, 2, 3, 3), 1, "same", 1, 1, none),
            *(3, 5, 6),
        ),
        image(
            "conv2d-dilation",
            "dilation 2",
            nir.Conv2d((5, 6), weight(2, 2, 2, 2), 1, 0, 2, 1, none[:2]),
            *(2, 3, 4),
        ),
        Golden(
            "conv2d-lif",
            "a convolution, then a LIF",
            chain(conv, image_lif, shape=(2, 5, 6), out=(3, 3, 4)),
            {"input": drive(2, 5, 6)},
        ),
        image("sumpool", "kernel and stride 2", nir.SumPool2d(two, two, np.array(zero)), 2, 2, 3),
        image("avgpool", "kernel and stride 2", nir.AvgPool2d(two, two, np.array(zero)), 2, 2, 3),
    ]


def topologies() -> list[Golden]:
    """Several inputs and outputs, edges that skip, recurrence, delays, graphs within the graph."""
    w = lambda: nir.Linear(WEIGHT.copy())  # noqa: E731
    x, both = {"input": drive(N)}, {"a": drive(N), "b": drive(N, seed=2)}
    within = chain(nir.Linear(WEIGHT.copy()), lif())
    outputs = ("out_a", "out_b")
    ends: dict[str, nir.NIRNode] = {k: nir.Output({"output": np.array([N])}) for k in outputs}
    ends |= {"input": nir.Input({"input": np.array([N])}), "w": w(), "p": lif(), "q": lif(0.75)}
    fan = [("input", "w"), ("w", "p"), ("w", "q"), ("p", "out_a"), ("q", "out_b")]
    recurrent = [("input", "w"), ("w", "n"), ("n", "back"), ("back", "n"), ("n", "output")]
    back = lambda: nir.Linear(-0.5 * WEIGHT.T)  # noqa: E731
    delay = nir.Delay(full(2 * DT, 0, 5 * DT))
    return [
        joined(
            "two-inputs",
            "both add into one LIF",
            {"w": w(), "u": back(), "n": lif()},
            [("a", "w"), ("b", "u"), ("w", "n"), ("u", "n"), ("n", "output")],
            both,
        ),
        Golden("two-outputs", "of one Linear", nir.NIRGraph(ends, fan), x),
        joined(
            "skip",
            "an edge that skips a layer",
            {"w": w(), "p": lif(), "u": w(), "s": w(), "n": lif()},
            [*pairwise(["input", "w", "p", "u", "n", "output"]), *pairwise(["input", "s", "n"])],
            x,
        ),
        joined(
            "recurrent-lif", "one step late", {"w": w(), "n": lif(), "back": back()}, recurrent, x
        ),
        joined(
            "recurrent-cubalif",
            "one step late",
            {"w": w(), "n": cuba(), "back": back()},
            recurrent,
            x,
        ),
        after_linear("delay", "0, 2 and 5 steps, then a LIF", delay, lif()),
        joined(
            "nested",
            "a graph within the graph",
            {"block": within},
            [("input", "block"), ("block", "output")],
            x,
        ),
    ]


def goldens() -> dict[str, Golden]:
    """All rows of the matrix, by name."""
    parts: tuple[Callable[[], list[Golden]], ...] = (neurons, maps, topologies)
    return {golden.name: golden for part in parts for golden in part()}
