"""The cause of a deviation: the variation of the golden that a reader's outputs are equal to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import nir
import numpy as np

from hardware.conformance.evaluate import Rule, evaluate
from hardware.conformance.goldens import Golden, flattened

TOLERANCE = 1e-5  # of the largest value; readers compute in float32


@dataclass(frozen=True)
class Variation:
    """A golden stepped otherwise: changed constants, another rule, another dt."""

    graph: nir.NIRGraph
    inputs: dict[str, np.ndarray]
    dt: float
    rule: Rule = field(default_factory=Rule)


Cause = Callable[[Variation], Variation]


def _constants(change: Callable[[Any, float], dict[str, Any]]) -> Cause:
    """A cause that changes the fields of each neuron."""

    def apply(v: Variation) -> Variation:
        nodes: dict[str, Any] = {}
        for name, node in v.graph.nodes.items():
            new = change(node, v.dt) if hasattr(node, "r") else {}
            new = {k: np.asarray(x) for k, x in new.items() if hasattr(node, k)}
            nodes[name] = replace(node, **new) if new else node
        return replace(v, graph=nir.NIRGraph(nodes, v.graph.edges, type_check=False))

    return apply


def _rule(**changed: Any) -> Cause:
    return lambda v: replace(v, rule=replace(v.rule, **changed))


def _time(node: Any) -> Any:
    """The membrane's tau, if there is one."""
    return getattr(node, "tau_mem", getattr(node, "tau", None))


def _first(x: Any) -> Any:
    return np.full_like(x, np.ravel(x)[0])


def _unit_gain(node: Any, dt: float) -> dict[str, Any]:
    return {"r": np.ones_like(node.r) / dt if _time(node) is None else _time(node) / dt}


def _folded(node: Any, dt: float) -> dict[str, Any]:
    """The gain of the first neuron divides all thresholds; every gain becomes 1."""
    gain = (node.r * dt if _time(node) is None else node.r * dt / _time(node)).ravel()[0]
    unit = _unit_gain(node, dt)
    return unit | ({"v_threshold": node.v_threshold / gain} if hasattr(node, "v_threshold") else {})


def _scaled(node: Any, _: float) -> dict[str, Any]:
    """The r of the first neuron divides all thresholds; r becomes 1."""
    new = {"r": np.ones_like(node.r)}
    return new | (
        {"v_threshold": node.v_threshold / np.ravel(node.r)[0]}
        if hasattr(node, "v_threshold")
        else {}
    )


def _one_of_each(node: Any, _: float) -> dict[str, Any]:
    names = ("tau", "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in")
    return {k: _first(getattr(node, k)) for k in names if hasattr(node, k)}


def _left_out(v: Variation) -> Variation:
    """Nodes that some importers replace by an identity."""
    nodes: dict[str, Any] = dict(v.graph.nodes)
    for name, node in nodes.items():
        if isinstance(node, nir.LI | nir.CubaLI | nir.I | nir.Threshold | nir.Scale | nir.Delay):
            nodes[name] = nir.Scale(np.ones(tuple(node.output_type["output"])))
    return replace(v, graph=nir.NIRGraph(nodes, v.graph.edges, type_check=False))


def _without_input(keep: int) -> Cause:
    def apply(v: Variation) -> Variation:
        kept = sorted(v.inputs)[keep % len(v.inputs)]
        return replace(v, inputs={k: x if k == kept else x * 0 for k, x in v.inputs.items()})

    return apply


#: What a reader may do otherwise; the text completes "it …".
CAUSES: dict[str, Cause] = {
    "ignores r (takes it as 1)": _constants(lambda n, dt: {"r": np.ones_like(n.r)}),
    "takes r·dt/τ as 1": _constants(_unit_gain),
    "folds r into the threshold by its first value": _constants(_scaled),
    "folds r·dt/τ into the threshold by its first value": _constants(_folded),
    "ignores v_leak": _constants(lambda n, dt: {"v_leak": np.zeros_like(n.r)}),
    "ignores v_reset (resets to 0)": _constants(lambda n, dt: {"v_reset": np.zeros_like(n.r)}),
    "resets by subtraction": _rule(reset="subtract"),
    "never resets": _rule(reset="none"),
    "resets a step late": _rule(reset_late=True),
    "spikes at v ≥ v_threshold": _rule(at_tie=True),
    "leaks by exp(−dt/τ)": _rule(exponential=True),
    "lets the new input leak in the same step": _rule(at_once=True),
    "ignores w_in (takes it as 1)": _constants(lambda n, dt: {"w_in": np.ones_like(n.r)}),
    "takes w_in·dt/τ_syn as 1": _constants(
        lambda n, dt: {"w_in": n.tau_syn / dt} if hasattr(n, "tau_syn") else {}
    ),
    "lets the membrane see the current a step late": _rule(synapse_late=True),
    "gives every neuron the constants of the first": _constants(_one_of_each),
    "takes dt as 1e-4 s": lambda v: replace(v, dt=1e-4),
    "takes dt as 1e-3 s": lambda v: replace(v, dt=1e-3),
    "takes τ as a number of steps": lambda v: replace(v, dt=1.0),
    "passes on what reaches an LI, CubaLI, I, Threshold, Scale or Delay": _left_out,
    "drops the second input": _without_input(0),
    "drops the first input": _without_input(1),
    "drops the edge that closes a cycle": _rule(cut=True),
    "answers a step late": _rule(late=1),
    "answers two steps late": _rule(late=2),
}


def distance(golden: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Whether each value differs by more than the tolerance."""
    return ~(np.abs(found - golden) <= TOLERANCE * max(1.0, float(np.abs(golden).max())))


def first_difference(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> int | None:
    """The earliest step at which an output differs, or None.

    Outputs are matched by name; the only output of one that gives another name is taken.

    Raises:
        ValueError: an output is missing or has another number of values.
    """
    steps = []
    for name, golden in expected.items():
        values = found.get(name)
        if values is None or values.size != golden.size:
            shape = None if values is None else values.shape
            raise ValueError(f"output {name!r} has shape {shape}, expected {golden.shape}")
        wrong = distance(golden, values.reshape(golden.shape)).reshape(len(golden), -1).any(1)
        steps += np.flatnonzero(wrong).tolist()[:1]
    return min(steps, default=None)


def variations(golden: Golden) -> Iterator[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
    """The golden under each cause, then each pair; what changes none of its values is left out."""
    plain = Variation(flattened(golden.graph), golden.inputs, golden.dt)
    unchanged = golden.outputs()
    single: list[str] = []
    for name, cause in CAUSES.items():
        values = _values(cause(plain))
        if values is not None and _differs(unchanged, values):
            yield (name,), values
        # A cause without an effect of its own can have one after another.
        single.append(name)
    for a, b in combinations(single, 2):
        values = _values(CAUSES[b](CAUSES[a](plain)))
        if values is not None and _differs(unchanged, values):
            yield (a, b), values


def _values(v: Variation) -> dict[str, np.ndarray] | None:
    try:
        found = evaluate(v.graph, v.inputs, v.dt, v.rule)
        return {k: x.astype(np.float64) for k, x in found.items()}
    except (OverflowError, ZeroDivisionError):
        return None


def _differs(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return first_difference(a, b) is not None


def silent(found: dict[str, np.ndarray]) -> bool:
    """Whether all outputs are 0: too many causes would give that to name one."""
    return not any(np.any(values) for values in found.values())


def diagnose(golden: Golden, found: dict[str, np.ndarray], most: int = 2) -> tuple[str, ...]:
    """The causes, one or two, under which the golden equals what a reader found.

    The first that fits is given, single causes before pairs; empty if none does.

    >>> from hardware.conformance.goldens import goldens
    >>> golden = goldens()["lif-reset-down"]
    >>> apart = {k: v for k, v in variations(golden)}
    >>> diagnose(golden, apart["ignores v_reset (resets to 0)",])
    ('ignores v_reset (resets to 0)',)
    """
    if silent(found):
        return ()
    return next((names for names, values in variations(golden) if not _differs(values, found)), ())
