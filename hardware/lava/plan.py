"""A run of Lava as plain arrays: delays, resets and streams; Lava is not imported here.

Only Dense processes delay, by one step each. If d, the depth of a population, is the largest number
of Dense on a path to it, less the delays that the graph wants there, stream step τ (from 0) reaches
it at Lava's step τ + 1 + d (from 1); signals on shorter paths get additional delays. The samples
follow each other without a gap; `LIFReset` with offset 1 + d clears the state at the start of each
sample. With synapses that have a delay of their own, as recurrent ones do, each sample is a run:
else its last spikes would arrive in the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from hardware.fixed_point.integers import (
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapses,
    to_integers,
)
from hardware.fixed_point.lava_form import check_lava, lava_form
from hardware.graph.matrices import Matrix, is_sparse
from hardware.graph.network import Network, Population, Synapses, check_inputs, constants
from mdft.errors import UserError

FLOAT, FIXED = "floating_pt", "fixed_pt"
GRADED_BITS = 24
MOST_RELAYS = 512  # identity Dense processes that delay spikes; 800 take ten seconds to compile


@dataclass(frozen=True)
class DensePlan:
    """One Dense from a source; `delay` is in steps, in addition to the one of the Dense."""

    source: str
    delay: int
    weight: Matrix
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
    """A whole run: arithmetic, input streams (B·S, width), populations, sizes.

    `apart`: whether each sample must be a run of its own.
    """

    tag: str
    streams: dict[str, np.ndarray]
    lifs: tuple[LIFPlan, ...]
    batch: int
    steps: int
    apart: bool = False

    @property
    def recurrent(self) -> bool:
        """Whether a population receives from itself, or from one that is not before it."""
        before = set(self.streams)
        for lif in self.lifs:
            if any(d.source not in before for d in lif.dense):
                return True
            before.add(lif.name)
        return False

    def samples(self) -> list[Plan]:
        """Return one plan per sample."""
        return [
            replace(
                self,
                batch=1,
                streams={n: x[i * self.steps :][: self.steps] for n, x in self.streams.items()},
            )
            for i in range(self.batch)
        ]

    @property
    def total(self) -> int:
        """The number of steps to run: all samples, plus the largest depth."""
        return self.batch * self.steps + max(lif.depth for lif in self.lifs)


def plan_float(
    network: Network, inputs: dict[str, np.ndarray], form: Network | None = None
) -> Plan:
    """Plan a run in Lava's floating point: float64, parameters of `lava_form`.

    Args:
        network: a lowered graph.
        inputs: (B, S, width) by input name.
        form: the network in `lava_form`, its populations of equal constants; default: made here.

    Raises:
        UserError: Lava cannot express a population; the message names it.
    """
    batch, steps = check_inputs(network, inputs)
    form = form or lava_form(network)
    check_lava(network)
    given = {n: inputs[n] for n in network.inputs} | constants(form.populations, batch, steps)
    depths = _depths(network.populations, form.populations, given)
    lifs = []
    for p in form.populations:
        dense = tuple(
            DensePlan(
                s.source,
                depths[p.name] - 1 - depths[s.source] + s.delay,
                s.weight,
                0,
                GRADED_BITS if s.source in given else 0,
            )
            for s in p.synapses
        )
        du = 1.0 if p.current is None else float(p.current.decay[0])
        vth = float(p.v_threshold[0])
        lifs.append(LIFPlan(p.name, dense, p.bias, 0, du, float(p.decay[0]), vth, depths[p.name]))
    streams = {n: x.reshape(batch * steps, -1).astype(np.float64) for n, x in given.items()}
    return _checked(Plan(FLOAT, streams, tuple(lifs), batch, steps, _apart(form.populations)))


def plan_fixed(
    network: IntegerNetwork,
    inputs: dict[str, np.ndarray],
    populations: Sequence[IntegerPopulation] | None = None,
) -> Plan:
    """Plan a run in Lava's fixed point, with the integers of `quantise`.

    Args:
        network: the result of `quantise`.
        inputs: (B, S, width) by input name.
        populations: its populations, of equal constants; default: as they are.

    Raises:
        UserError: Lava cannot express a population; the message names it.
    """
    check_lava(network.source)
    populations = network.populations if populations is None else populations
    signals = to_integers(network, inputs)
    batch, steps = next(iter(signals.values())).shape[:2]
    depths = _depths(network.populations, populations, signals)
    lifs = []
    for p in populations:
        dense = tuple(
            DensePlan(
                s.source,
                depths[p.name] - 1 - depths[s.source] + s.delay,
                s.weight.astype(np.int32),
                s.weight_exp,
                GRADED_BITS if s.graded else 0,
            )
            for s in p.synapses
        )
        bias, (du, dv, vth) = (
            p.bias_mant.astype(np.int32),
            (_one(p, f) for f in ("du", "dv", "vth")),
        )
        lifs.append(LIFPlan(p.name, dense, bias, p.bias_exp, du, dv, vth, depths[p.name]))
    streams = {n: x.reshape(batch * steps, -1).astype(np.int32) for n, x in signals.items()}
    return _checked(Plan(FIXED, streams, tuple(lifs), batch, steps, _apart(populations)))


def _checked(plan: Plan) -> Plan:
    """Return the plan, if its delays need at most 512 processes."""
    longest: dict[str, int] = {}
    for d in (d for lif in plan.lifs for d in lif.dense if d.source not in plan.streams):
        longest[d.source] = max(longest.get(d.source, 0), d.delay)
    if (relays := sum(longest.values())) > MOST_RELAYS:
        most = max(longest, key=lambda name: longest[name])
        raise UserError(
            f"{most}: its spikes are delayed by {longest[most]} steps; Lava takes a Dense for each "
            f"step of a delay, {relays} in all, expected at most {MOST_RELAYS}"
        )
    return plan


def _one(p: IntegerPopulation, field: str) -> int:
    values = np.atleast_1d(getattr(p, field))
    assert (values == values[0]).all(), p.name  # groups have equal constants
    return int(values[0])


def _apart(populations: Iterable[Population | IntegerPopulation]) -> bool:
    return any(s.delay for p in populations for s in p.synapses)


def _depths(
    whole: Sequence[Population | IntegerPopulation],
    populations: Iterable[Population | IntegerPopulation],
    inputs: Iterable[str],
) -> dict[str, int]:
    """Return how many steps after an input each population gets its signals; inputs have depth 0.

    A population with a depth of at least one more than those of its sources, less the delays of
    their synapses, can get each signal in time: the longest paths, found as by Bellman and Ford.
    All groups of a population have its depth; their names begin with its name and a space.

    Raises:
        UserError: a cycle of k layers delivers less than k steps later; the message names it.
    """
    depths = dict.fromkeys(inputs, 0) | {p.name: 1 for p in whole}
    latest: dict[str, IntegerSynapses | Synapses] = {}
    for _ in range(len(whole) + 1):
        changed = None
        for p in whole:
            for s in p.synapses:
                if depths[s.source] + 1 - s.delay > depths[p.name]:
                    depths[p.name] = depths[s.source] + 1 - s.delay
                    latest[p.name], changed = s, p.name
        if changed is None:
            return depths | {p.name: depths[p.name.split(" ")[0]] for p in populations}
    assert changed is not None
    raise UserError(_too_fast(changed, latest))


def _too_fast(name: str, latest: dict[str, Any]) -> str:
    """Describe the cycle that raises a depth for ever, given each layer's latest source."""
    for _ in latest:
        name = latest[name].source  # one that leads to the cycle is left
    layers, steps, at = [name], latest[name].delay, latest[name].source
    while at != name:
        layers, steps, at = [at, *layers], steps + latest[at].delay, latest[at].source
    shown = " -> ".join([*layers[:8], *["..."] * (len(layers) > 8), layers[0]])
    return (
        f"{shown}: a cycle of {len(layers)} layers that delivers {steps} steps later; Lava takes a "
        f"step for each layer, expected Delays of {len(layers) - steps} steps more"
    )


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
            key = f"weight.{i}.{j}"
            if is_sparse(d.weight):
                arrays[f"{key}.columns"], arrays[f"{key}.rows"] = d.weight.indices, d.weight.indptr
                arrays[f"{key}.shape"] = np.array(d.weight.shape)
            arrays[key] = d.weight.data if is_sparse(d.weight) else d.weight
            dense.append([d.source, d.delay, d.weight_exp, d.message_bits])
        lifs.append([lif.name, lif.bias_exp, lif.du, lif.dv, lif.vth, lif.depth, dense])
    meta = json.dumps(
        {
            "tag": plan.tag,
            "batch": plan.batch,
            "steps": plan.steps,
            "lifs": lifs,
            "apart": plan.apart,
        }
    )
    np.savez(path, meta=np.array(meta), **arrays)  # type: ignore[arg-type]


def load_plan(path: Path) -> Plan:
    """Read a plan that `save_plan` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    lifs = []
    for i, (name, bias_exp, du, dv, vth, depth, dense) in enumerate(meta["lifs"]):
        made = tuple(
            DensePlan(source, delay, _matrix(arrays, f"weight.{i}.{j}"), weight_exp, bits)
            for j, (source, delay, weight_exp, bits) in enumerate(dense)
        )
        lifs.append(LIFPlan(name, made, arrays[f"bias.{i}"], bias_exp, du, dv, vth, depth))
    streams = {k.removeprefix("stream."): x for k, x in arrays.items() if k.startswith("stream.")}
    return Plan(meta["tag"], streams, tuple(lifs), meta["batch"], meta["steps"], meta["apart"])


def _matrix(arrays: dict[str, np.ndarray], key: str) -> Matrix:
    if f"{key}.rows" not in arrays:
        return arrays[key]
    parts = (arrays[key], arrays[f"{key}.columns"], arrays[f"{key}.rows"])
    return sparse.csr_array(parts, shape=tuple(arrays[f"{key}.shape"]))
