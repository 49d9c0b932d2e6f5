"""The backend `lava_fixed`: Lava's bit-accurate Dense and LIFReset, in integers."""

from __future__ import annotations

import numpy as np

from hardware.fixed_point.integers import IntegerNetwork
from hardware.fixed_point.reference_int import check_readout
from hardware.graph.network import Recording
from hardware.lava.plan import plan_fixed
from hardware.lava.run import run_plan


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
    spikes, membranes = run_plan(plan_fixed(network, inputs), readouts, runtime)
    for name in readouts:
        check_readout(name, membranes[name])
    fired = {name: s for name, s in spikes.items() if name not in readouts}
    return Recording(fired, membranes, network.membrane_units, {})
