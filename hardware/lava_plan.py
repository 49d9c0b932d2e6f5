"""What to build in Lava, in plain arrays: delays, resets and streams, before Lava is imported.

A Dense delays one step, nothing else does. With depth d of a population = the number of Dense on
the path to it, stream step τ (from 0) reaches it at Lava's step τ + 1 + d (from 1). The samples
stream back to back; `LIFReset` with offset 1 + d clears the state where a sample begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware.errors import UserError
from hardware.network import Network, check_inputs
from hardware.quantise import IntegerNetwork, check_expressible, to_integers

FLOAT, FIXED = "floating_pt", "fixed_pt"
GRADED_BITS = 24


@dataclass(frozen=True)
class DensePlan:
    """One Dense: from a source, delayed by whole steps if it is an input."""

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
        """Step to run: every sample, and the depth of the last population."""
        return self.batch * self.steps + max(lif.depth for lif in self.lifs)


def plan_float(network: Network, inputs: dict[str, np.ndarray]) -> Plan:
    """A run in Lava's floating point: float64, the graph's own parameters."""
    batch, steps = check_inputs(network, inputs)
    depths = _depths(network)
    lifs = []
    for p in network.populations:
        check_expressible(p)
        dense = tuple(
            DensePlan(
                s.source,
                _delay(depths, s.source, p.name),
                s.weight,
                0,
                GRADED_BITS if s.source in network.inputs else 0,
            )
            for s in p.synapses
        )
        lifs.append(
            LIFPlan(
                p.name,
                dense,
                p.bias,
                0,
                1.0,
                float(p.decay[0]),
                float(p.v_threshold[0]),
                depths[p.name],
            )
        )
    streams = {n: inputs[n].reshape(batch * steps, -1).astype(np.float64) for n in network.inputs}
    return Plan(FLOAT, streams, tuple(lifs), batch, steps)


def plan_fixed(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> Plan:
    """A run in Lava's fixed point: integers, du = 4095 (0 would still leak 1/4096)."""
    signals = to_integers(network, inputs)
    batch, steps = next(iter(signals.values())).shape[:2]
    depths = _depths(network.source)
    lifs = []
    for p in network.populations:
        dense = tuple(
            DensePlan(
                s.source,
                _delay(depths, s.source, p.name),
                s.weight.astype(np.int32),
                s.weight_exp,
                GRADED_BITS if s.graded else 0,
            )
            for s in p.synapses
        )
        lifs.append(
            LIFPlan(
                p.name,
                dense,
                p.bias_mant.astype(np.int32),
                p.bias_exp,
                4095,
                p.dv,
                p.vth,
                depths[p.name],
            )
        )
    streams = {n: x.reshape(batch * steps, -1).astype(np.int32) for n, x in signals.items()}
    return Plan(FIXED, streams, tuple(lifs), batch, steps)


def _depths(network: Network) -> dict[str, int]:
    """Number of Dense before each population; inputs have depth 0."""
    depths = dict.fromkeys(network.inputs, 0)
    for p in network.populations:
        depths[p.name] = 1 + max(depths[s.source] for s in p.synapses)
        for s in p.synapses:
            if s.source not in network.inputs and depths[s.source] != depths[p.name] - 1:
                raise UserError(
                    f"{p.name}: the edge from {s.source!r} skips a layer, which Lava's "
                    "Dense cannot delay; only inputs may"
                )
    return depths


def _delay(depths: dict[str, int], source: str, target: str) -> int:
    return depths[target] - 1 - depths[source]


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan as .npz without pickle: arrays, and one JSON string for the rest."""
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
    """Read what `save_plan` wrote."""
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
