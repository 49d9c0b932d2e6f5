"""Run a plan in either of Lava's runtimes."""

from __future__ import annotations

import numpy as np

from hardware.lava.build import require_lava
from hardware.lava.inline import run_inline
from hardware.lava.plan import Plan, connected
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
    spikes: dict[str, np.ndarray] = {}
    membranes: dict[str, np.ndarray] = {}
    for part in connected(plan):
        if runtime == "inline":
            fired, before_reset = run_inline(part)
            membranes |= before_reset
        else:
            fired = run_process(part)
        spikes |= fired
    return spikes, membranes
