"""NIR's equations in exact rational numbers, independent of our graph reader and simulators.

The discretisation is that of docs/nir.md: forward Euler with x' ≈ (x(t) − x(t − 1)) / dt, where
dt/τ is rounded to a multiple of 1/4096 if within one part in 10**6 (τ is stored as float32);
v > v_threshold is compared strictly, after the step; the reset belongs to the same step; every
state starts at 0. A signal passes any number of nodes in a step, except an edge that closes a
cycle, which delivers a step later.

    LIF      v += dt/τ·(v_leak − v + r·I)          IF  v += dt·r·I          LI  as LIF, sends v
    CubaLIF  i += dt/τ_syn·(w_in·x − i), then LIF with I = i                I   as IF, sends v
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import nir
import numpy as np

FIRING = ("LIF", "IF", "CubaLIF")
STATEFUL = (*FIRING, "LI", "I", "CubaLI", "Delay")


@dataclass(frozen=True)
class Rule:
    """How the equations are stepped; each default is NIR's, as stated above.

    Attributes:
        reset: "value" (v_reset), "subtract" (v − v_threshold) or "none".
        reset_late: the reset takes place in the next step, after leak and input.
        at_tie: a neuron spikes at v ≥ v_threshold.
        exponential: 1 − exp(−dt/τ) instead of dt/τ.
        synapse_late: the membrane of a Cuba neuron sees the current of the step before.
        late: the number of steps by which the output is late.
        cut: edges that close a cycle deliver nothing.
        at_once: the inputs add up at the beginning of the step, and the leak follows.
    """

    reset: str = "value"
    reset_late: bool = False
    at_tie: bool = False
    exponential: bool = False
    synapse_late: bool = False
    late: int = 0
    cut: bool = False
    at_once: bool = False


def exact(values: Any) -> np.ndarray:
    """The same numbers as an array of fractions."""
    array = np.asarray(values)
    return np.array([Fraction(float(x)) for x in array.ravel()], object).reshape(array.shape)


def rate(dt: float, tau: Any, rule: Rule) -> np.ndarray:
    """dt/τ of each neuron; see the module's docstring for the rounding."""
    found = []
    for t in np.asarray(tau, float).ravel():
        x = -math.expm1(-dt / t) if rule.exponential else dt / t
        near = Fraction(round(x * 4096), 4096)
        found.append(near if abs(float(near) - x) <= 1e-6 * x else Fraction(x))
    return np.array(found, object).reshape(np.shape(tau))


def steps_per(dt: float, r: Any) -> np.ndarray:
    """dt·r of each neuron, rounded to a multiple of 2**-20 if within one part in 10**6."""
    x = np.asarray(r, float).ravel() * dt
    near = [Fraction(round(v * 2**20), 2**20) for v in x]
    kept = [
        n if abs(float(n) - v) <= 1e-6 * abs(v) else Fraction(v)
        for n, v in zip(near, x, strict=True)
    ]
    return np.array(kept, object).reshape(np.shape(r))


def evaluate(
    graph: nir.NIRGraph, inputs: dict[str, np.ndarray], dt: float, rule: Rule | None = None
) -> dict[str, np.ndarray]:
    """Step a flat graph.

    Args:
        graph: without graphs inside it.
        inputs: arrays (S, *shape), by name of the Input.
        dt: seconds per step.
        rule: the discretisation; default: NIR's.

    Returns:
        The values (S, *shape) of each Output, as fractions.
    """
    rule = rule or Rule()
    edges = sorted({(str(a), str(b)) for a, b in graph.edges})
    order, back = _order(graph, edges)
    nodes = {name: _Node(graph.nodes[name], dt, rule) for name in order}
    steps = len(next(iter(inputs.values())))
    given = {name: exact(x) for name, x in inputs.items()}
    before: dict[str, Any] = {}
    found: dict[str, list[np.ndarray]] = {
        name: [] for name in order if isinstance(graph.nodes[name], nir.Output)
    }
    for t in range(steps):
        now: dict[str, Any] = {}
        for name in order:
            if isinstance(graph.nodes[name], nir.Input):
                now[name] = given[name][t]
                continue
            arriving = [now[a] for a, b in edges if b == name and (a, b) not in back]
            if not rule.cut:
                arriving += [before[a] for a, b in back if b == name and a in before]
            x = sum(arriving[1:], arriving[0]) if arriving else None
            now[name] = nodes[name](x)
        before = now
        for name, values in found.items():
            values.append(now[name])
    late = rule.late
    return {
        name: np.stack([values[0] * 0] * late + values[: steps - late])
        for name, values in found.items()
    }


def _order(
    graph: nir.NIRGraph, edges: list[tuple[str, str]]
) -> tuple[list[str], set[tuple[str, str]]]:
    """Return an order of the nodes from the Inputs on, and the edges that close a cycle."""
    done: list[str] = []
    back: set[tuple[str, str]] = set()
    on_path: list[str] = []

    def visit(name: str) -> None:
        on_path.append(name)
        for a, b in edges:
            if a == name and b in on_path:
                back.add((a, b))
            elif a == name and b not in done:
                visit(b)
        done.append(on_path.pop())

    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            visit(name)
    return done[::-1], back


class _Node:
    """One node with its state."""

    def __init__(self, node: nir.NIRNode, dt: float, rule: Rule) -> None:
        self.node, self.dt, self.rule = node, dt, rule
        self.v: Any = 0
        self.i: Any = 0
        self.spiked: Any = None
        self.line: list[np.ndarray] = []
        self.kind = type(node).__name__

    def __call__(self, x: Any) -> Any:
        step: Callable[[Any], Any] = self._neuron if self.kind in STATEFUL else self._map
        if self.kind == "Delay":
            step = self._delay
        return step(x)

    def _map(self, x: Any) -> Any:
        n: Any = self.node
        if self.kind == "Output":
            return x
        if self.kind == "Linear":
            return exact(n.weight) @ x
        if self.kind == "Affine":
            return exact(n.weight) @ x + exact(n.bias)
        if self.kind == "Scale":
            return exact(n.scale) * x
        if self.kind == "Threshold":
            return _bits(x > exact(n.threshold))
        if self.kind == "Flatten":
            return x.ravel()
        if self.kind in ("Conv1d", "Conv2d"):
            return convolve(x, n)
        if self.kind in ("SumPool2d", "AvgPool2d"):
            return pool(x, n, self.kind == "AvgPool2d")
        raise NotImplementedError(self.kind)

    def _neuron(self, x: Any) -> Any:
        node: Any = self.node
        rule, cuba = self.rule, self.kind.startswith("Cuba")
        if cuba:
            seen = self.i
            decay = rate(self.dt, node.tau_syn, rule)
            self.i = self.i + decay * (exact(node.w_in) * x - self.i)
            x = seen if rule.synapse_late else self.i
        if self.kind in ("IF", "I"):
            v = self.v + steps_per(self.dt, node.r) * x
        else:
            decay = rate(self.dt, node.tau_mem if cuba else node.tau, rule)
            drive = decay * exact(node.r) * x
            if rule.at_once:
                v = (1 - decay) * (self.v + drive) + decay * exact(node.v_leak)
            else:
                v = self.v + decay * (exact(node.v_leak) - self.v) + drive
        if self.kind not in FIRING:
            self.v = v
            return v
        if rule.reset_late and self.spiked is not None:
            v = self._reset(v, self.spiked)
        threshold = exact(node.v_threshold)
        self.spiked = v >= threshold if rule.at_tie else v > threshold
        self.v = v if rule.reset_late else self._reset(v, self.spiked)
        return _bits(self.spiked)

    def _reset(self, v: Any, spiked: Any) -> Any:
        node: Any = self.node
        if self.rule.reset == "none":
            return v
        to = v - exact(node.v_threshold) if self.rule.reset == "subtract" else exact(node.v_reset)
        return np.where(spiked, to, v)

    def _delay(self, x: Any) -> Any:
        node: Any = self.node
        steps = [round(float(d) / self.dt) for d in np.ravel(node.delay)]
        self.line.append(x)
        zero = Fraction(0)
        kept = [self.line[-1 - d][k] if d < len(self.line) else zero for k, d in enumerate(steps)]
        return np.array(kept, object)


def _bits(spiked: Any) -> np.ndarray:
    return np.array([Fraction(int(s)) for s in np.ravel(spiked)], object).reshape(np.shape(spiked))


def _sizes(value: Any, dimensions: int) -> tuple[int, ...]:
    values = [int(v) for v in np.ravel(value)]
    return tuple(values * dimensions if len(values) == 1 else values)


def convolve(x: np.ndarray, node: Any) -> np.ndarray:
    """Conv1d or Conv2d of (C, *size) by plain loops, as cross-correlation."""
    weight, bias = exact(node.weight), exact(node.bias)
    d = weight.ndim - 2
    stride, dilation = _sizes(node.stride, d), _sizes(node.dilation, d)
    kernel = weight.shape[2:]
    span = tuple((k - 1) * s for k, s in zip(kernel, dilation, strict=True))
    if isinstance(node.padding, str):
        same = node.padding == "same"
        pads = [(s // 2, s - s // 2) if same else (0, 0) for s in span]
    else:
        pads = [(p, p) for p in _sizes(node.padding, d)]
    x = _padded(x, [(0, 0), *pads])
    sizes = [(n - s - 1) // m + 1 for n, s, m in zip(x.shape[1:], span, stride, strict=True)]
    out = np.empty((len(weight), *sizes), object)
    per_group, outputs = weight.shape[1], len(weight) // int(node.groups)
    for o, *place in product(*(range(n) for n in out.shape)):
        total = bias[o]
        for c, *tap in product(range(per_group), *(range(k) for k in kernel)):
            at = (p * s + q * m for p, s, q, m in zip(place, stride, tap, dilation, strict=True))
            total += weight[(o, c, *tap)] * x[(o // outputs * per_group + c, *at)]
        out[(o, *place)] = total
    return out


def _padded(x: np.ndarray, pads: list[tuple[int, int]]) -> np.ndarray:
    """Zeros around an array of fractions."""
    zero: Any = Fraction(0)
    return np.pad(x, pads, constant_values=zero)


def pool(x: np.ndarray, node: Any, mean: bool) -> np.ndarray:
    """SumPool2d or AvgPool2d of (C, H, W); padding counts in the mean as zeros."""
    kernel, stride = _sizes(node.kernel_size, 2), _sizes(node.stride, 2)
    p, q = _sizes(node.padding, 2)
    x = _padded(x, [(0, 0), (p, p), (q, q)])
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, stride, strict=True)]
    out = np.empty((len(x), *sizes), object)
    for c, i, j in product(*(range(n) for n in out.shape)):
        a, b = i * stride[0], j * stride[1]
        window = x[c, a : a + kernel[0], b : b + kernel[1]]
        out[c, i, j] = window.sum() / (window.size if mean else 1)
    return out
