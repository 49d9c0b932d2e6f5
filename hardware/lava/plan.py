"""A run of Lava as plain arrays: delays, resets and streams; Lava is not imported here.

Only Dense processes delay, by one step each. If d, the depth of a population, is the largest number
of Dense on a path to it, stream step τ (from 0) reaches it at Lava's step τ + 1 + d (from 1);
signals on shorter paths get additional delays. The samples follow each other without a gap;
`LIFReset` with offset 1 + d clears the state at the start of each sample.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork, IntegerPopulation, to_integers
from hardware.fixed_point.lava_form import constants, lava_form
from hardware.graph.network import Network, Population, check_inputs

FLOAT, FIXED = "floating_pt", "fixed_pt"
GRADED_BITS = 24


@dataclass(frozen=True)
class DensePlan:
    """One Dense from a source; `delay` is in steps, in addition to the one of the Dense."""

    source: str
    delay: int
    weight: np.ndarray
    weight_exp: int
    message_bits: int


@dataclass(frozen=True)
class LIFPlan:
    """One LIFReset and the Dense processes that feed it."""

    name: str
    dense: tuple[DensePlan, ...]
    bias: np.ndarray
    bias_exp: int
    du: float | int
    dv: float | int
    vth: float | int
    depth: int


@dataclass(frozen=True)
class Plan:
    """A whole run: arithmetic, input streams (B·S, width), populations, sizes."""

    tag: str
    streams: dict[str, np.ndarray]
    lifs: tuple[LIFPlan, ...]
    batch: int
    steps: int

    @property
    def total(self) -> int:
        """The number of steps to run: all samples, plus the largest depth."""
        return self.batch * self.steps + max(lif.depth for lif in self.lifs)


def plan_float(network: Network, inputs: dict[str, np.ndarray]) -> Plan:
    """Plan a run in Lava's floating point: float64, parameters of `lava_form`."""
    batch, steps = check_inputs(network, inputs)
    form = lava_form(network)
    given = {n: inputs[n] for n in network.inputs} | constants(form.populations, batch, steps)
    depths = _depths(form.populations, given)
    lifs = []
    for p in form.populations:
        dense = tuple(
            DensePlan(
                s.source,
                depths[p.name] - 1 - depths[s.source],
                s.weight,
                0,
                GRADED_BITS if s.source in network.inputs else 0,
            )
            for s in p.synapses
        )
        du = 1.0 if p.current is None else float(p.current.decay[0])
        vth = float(p.v_threshold[0])
        lifs.append(LIFPlan(p.name, dense, p.bias, 0, du, float(p.decay[0]), vth, depths[p.name]))
    streams = {n: x.reshape(batch * steps, -1).astype(np.float64) for n, x in given.items()}
    return Plan(FLOAT, streams, tuple(lifs), batch, steps)


def plan_fixed(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> Plan:
    """Plan a run in Lava's fixed point, with the integers of `quantise`."""
    signals = to_integers(network, inputs)
    batch, steps = next(iter(signals.values())).shape[:2]
    depths = _depths(network.populations, signals)
    lifs = []
    for p in network.populations:
        dense = tuple(
            DensePlan(
                s.source,
                depths[p.name] - 1 - depths[s.source],
                s.weight.astype(np.int32),
                s.weight_exp,
                GRADED_BITS if s.graded else 0,
            )
            for s in p.synapses
        )
        bias = p.bias_mant.astype(np.int32)
        lifs.append(LIFPlan(p.name, dense, bias, p.bias_exp, p.du, p.dv, p.vth, depths[p.name]))
    streams = {n: x.reshape(batch * steps, -1).astype(np.int32) for n, x in signals.items()}
    return Plan(FIXED, streams, tuple(lifs), batch, steps)


def _depths(
    populations: Iterable[Population | IntegerPopulation], inputs: Iterable[str]
) -> dict[str, int]:
    """Return the largest number of Dense on a path to each population; inputs have depth 0."""
    depths = dict.fromkeys(inputs, 0)
    for p in populations:
        depths[p.name] = 1 + max(depths[s.source] for s in p.synapses)
    return depths


def connected(plan: Plan) -> list[Plan]:
    """Split the plan into connected parts: Lava compiles and runs only connected processes."""
    parts: list[tuple[set[tuple[str, int]], list[LIFPlan]]] = []
    for lif in plan.lifs:
        # An input has one process per delay; a population's delays are connected to it.
        ports = {(d.source, d.delay if d.source in plan.streams else 0) for d in lif.dense}
        ports.add((lif.name, 0))
        apart = [part for part in parts if not part[0] & ports]
        joined = [part for part in parts if part[0] & ports]
        ports.update(*(part[0] for part in joined))
        parts = [*apart, (ports, [*(x for part in joined for x in part[1]), lif])]
    return [
        replace(
            plan,
            streams={n: x for n, x in plan.streams.items() if any(n == p for p, _ in ports)},
            lifs=tuple(lifs),
        )
        for ports, lifs in parts
    ]


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan as .npz without pickle: arrays, and the other fields as one JSON string."""
    arrays = {f"stream.{name}": x for name, x in plan.streams.items()}
    lifs = []
    for i, lif in enumerate(plan.lifs):
        arrays[f"bias.{i}"] = lif.bias
        dense = []
        for j, d in enumerate(lif.dense):
            arrays[f"weight.{i}.{j}"] = d.weight
            dense.append([d.source, d.delay, d.weight_exp, d.message_bits])
        lifs.append([lif.name, lif.bias_exp, lif.du, lif.dv, lif.vth, lif.depth, dense])
    meta = json.dumps({"tag": plan.tag, "batch": plan.batch, "steps": plan.steps, "lifs": lifs})
    np.savez(path, meta=np.array(meta), **arrays)  # type: ignore[arg-type]


def load_plan(path: Path) -> Plan:
    """Read a plan that `save_plan` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    lifs = []
    for i, (name, bias_exp, du, dv, vth, depth, dense) in enumerate(meta["lifs"]):
        made = tuple(
            DensePlan(source, delay, arrays[f"weight.{i}.{j}"], weight_exp, bits)
            for j, (source, delay, weight_exp, bits) in enumerate(dense)
        )
        lifs.append(LIFPlan(name, made, arrays[f"bias.{i}"], bias_exp, du, dv, vth, depth))
    streams = {k.removeprefix("stream."): x for k, x in arrays.items() if k.startswith("stream.")}
    return Plan(meta["tag"], streams, tuple(lifs), meta["batch"], meta["steps"])
