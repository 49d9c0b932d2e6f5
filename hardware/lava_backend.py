"""The two Lava backends: a network and its inputs in, spikes (and membranes) out."""

from __future__ import annotations

import numpy as np

from hardware.errors import UserError
from hardware.lava_build import require_lava
from hardware.lava_plan import Plan, plan_fixed, plan_float
from hardware.network import Network, Recording
from hardware.quantise import STATE_SCALE, IntegerNetwork

RUNTIMES = ("inline", "process")


def lava_float(
    network: Network, inputs: dict[str, np.ndarray], runtime: str = "inline"
) -> Recording:
    """Lava's floating-point Dense and LIFReset, float64; see `hardware.lava_plan`.

    Args:
        network: a lowered graph.
        inputs: (B, S, width) of each input.
        runtime: "inline" (one OS process, membranes too) or "process" (Lava's real runtime in a
            guarded child, spikes only).
    """
    spikes, membranes = _run(plan_float(network, inputs), runtime)
    return Recording(spikes, membranes, dict.fromkeys(spikes, 1.0), {})


def lava_fixed(
    network: IntegerNetwork, inputs: dict[str, np.ndarray], runtime: str = "inline"
) -> Recording:
    """Lava's bit-accurate Dense and LIFReset on the integers of `quantise`."""
    spikes, membranes = _run(plan_fixed(network, inputs), runtime)
    units = {p.name: p.unit / STATE_SCALE for p in network.populations}
    return Recording(spikes, membranes, units, {})


def _run(plan: Plan, runtime: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    if runtime not in RUNTIMES:
        raise UserError(f"runtime {runtime!r} is unknown, expected one of {RUNTIMES}")
    require_lava()
    if runtime == "inline":
        from hardware.lava_inline import run_inline

        return run_inline(plan)
    from hardware.lava_process import run_process

    return run_process(plan), {}
