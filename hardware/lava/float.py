"""The backend `lava_float`: Lava's floating-point Dense and LIFReset, in float64."""

from __future__ import annotations

import numpy as np

from hardware.graph.network import Network, Recording
from hardware.lava.plan import plan_float
from hardware.lava.run import run_plan


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
    spikes, membranes = run_plan(plan_float(network, inputs), readouts, runtime)
    # Lava's membranes are relative to v_reset, see lava_form.
    resets = {p.name: p.v_reset for p in network.populations}
    membranes = {name: v + resets[name] for name, v in membranes.items()}
    fired = {name: s for name, s in spikes.items() if name not in readouts}
    return Recording(fired, membranes, dict.fromkeys(spikes, 1.0), {})
