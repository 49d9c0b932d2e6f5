"""Run a network in Lava: the backends `lava_float` and `lava_fixed`, in either of its runtimes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork
from hardware.fixed_point.lava_form import lava_form
from hardware.fixed_point.reference_int import check_readout
from hardware.graph.network import Network, Recording
from hardware.lava.build import require_lava
from hardware.lava.groups import Groups, grouped
from hardware.lava.inline import run_inline
from hardware.lava.plan import Plan, connected, plan_fixed, plan_float
from hardware.lava.process import run_process
from mdft.errors import UserError

RUNTIMES = ("inline", "process")


def run_plan(
    plan: Plan, readouts: list[str], runtime: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return spikes uint8 and membranes before the reset, (B, S, N), by population.

    Args:
        plan: the plan to run.
        readouts: the populations that do not fire, whose membranes are recorded.
        runtime: "inline" (one OS process) or "process" (Lava's own runtime in a guarded child,
            without membranes: reading them through Lava takes seconds).

    Raises:
        UserError: the runtime is unknown, or it gives no membranes and a readout needs them, or
            Lava is missing or fails.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"runtime {runtime!r} is unknown, expected one of {RUNTIMES}")
    if readouts and runtime == "process":
        raise UserError(
            f"{readouts[0]}: is read by its membrane, Lava's own runtime gives spikes only; "
            "use --runtime inline"
        )
    require_lava()
    if plan.apart and runtime == "process":
        driven = next((lif for lif in plan.lifs if lif.bias.any()), None)
        if driven is not None:
            raise UserError(
                f"{driven.name}: has a bias, and may spike before the sample reaches it; with "
                "recurrence or delays that needs --runtime inline"
            )
    if plan.apart and plan.batch > 1:
        found = [run_plan(sample, readouts, runtime) for sample in plan.samples()]
        spikes, membranes = (
            {name: np.concatenate([one[i][name] for one in found]) for name in found[0][i]}
            for i in range(2)
        )
        return spikes, membranes
    spikes, membranes = {}, {}
    for part in connected(plan):
        if runtime == "inline":
            fired, before_reset = run_inline(part)
            membranes |= before_reset
        else:
            fired = run_process(part)
        spikes |= fired
    return spikes, membranes


def lava_float(
    network: Network, inputs: dict[str, np.ndarray], runtime: str = "inline"
) -> Recording:
    """Run a graph in Lava's floating point, in the form of `hardware.fixed_point.lava_form`.

    Args:
        network: a lowered graph.
        inputs: real numbers (B, S, width), by input name.
        runtime: "inline" (one OS process, records membranes too) or "process" (Lava's own runtime
            in a guarded child process, records spikes only).

    Raises:
        UserError: Lava cannot express a node, which the message names, or Lava failed.
    """
    readouts = [p.name for p in network.populations if not p.fires]
    form = lava_form(network)
    groups = grouped(form.populations)
    plan = plan_float(network, inputs, replace(form, populations=groups.populations))
    spikes, membranes = map(groups.joined, run_plan(plan, readouts, runtime))
    # Lava's membranes are relative to v_reset, see lava_form.
    resets = {p.name: p.v_reset for p in network.populations}
    membranes = {name: v + resets[name] for name, v in membranes.items()}
    fired = {name: s for name, s in spikes.items() if name not in readouts}
    return Recording(fired, membranes, dict.fromkeys(spikes, 1.0), _counts(groups))


def _counts(groups: Groups) -> dict[str, int]:
    """Return the number of groups, if a population was split."""
    several = len(groups.populations) > len(groups.members)
    return {"groups of equal constants": len(groups.populations)} if several else {}


def lava_fixed(
    network: IntegerNetwork, inputs: dict[str, np.ndarray], runtime: str = "inline"
) -> Recording:
    """Run a quantised network in Lava's fixed point.

    Args:
        network: the result of `hardware.fixed_point.quantise.quantise`.
        inputs: real numbers (B, S, width), by input name.
        runtime: "inline" (one OS process, records membranes too) or "process" (Lava's own runtime
            in a guarded child process, records spikes only).

    Raises:
        UserError: an input is out of range, an output membrane exceeds 24 bits, or Lava failed.
    """
    readouts = [p.name for p in network.populations if not p.fires]
    groups = grouped(network.populations)
    plan = plan_fixed(network, inputs, groups.populations)
    spikes, membranes = map(groups.joined, run_plan(plan, readouts, runtime))
    for name in readouts:
        check_readout(name, membranes[name])
    fired = {name: s for name, s in spikes.items() if name not in readouts}
    units, offsets = network.membrane_units, network.membrane_offsets
    return Recording(fired, membranes, units, _counts(groups), offsets)
