"""The child of `hardware.lava.process`: it runs Lava's own runtime once."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from hardware.lava.build import build, require_lava
from hardware.lava.guard import PREFIX_VARIABLE, name_segments
from hardware.lava.netx_backend import build_netx, require_netx
from hardware.lava.plan import load_plan
from hardware.lava.process import NETX_FILE

# Lava must be imported before anything else uses multiprocessing.
require_lava()


def _say_exceptions() -> None:
    """Print the traceback of an exception in an actor: Lava hides it and waits."""
    from lava.magma.runtime import runtime

    quiet = runtime.target_fn

    def loud(*args: Any, **kwargs: Any) -> None:
        try:
            quiet(*args, **kwargs)
        except Exception:
            traceback.print_exc()
            raise

    runtime.target_fn = loud


def main(folder: Path) -> None:
    """Run folder/plan.npz; with netx's blocks if folder/network.net exists.

    The spikes of population i are written to folder/spikes.i.npy, (total, N).
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from hardware.lava.processes.recorder import PyRecorderModel, Recorder

    name_segments(os.environ[PREFIX_VARIABLE])
    _say_exceptions()
    plan = load_plan(folder / "plan.npz")
    if (folder / NETX_FILE).exists():
        require_netx()
        net = build_netx(plan, folder / NETX_FILE)
    else:
        net = build(plan)
    models = dict(net.models)
    for i, lif in enumerate(plan.lifs):
        file, size = folder / f"spikes.{i}.npy", len(lif.bias)
        # 255 marks rows that were not written; 0 would mean no spikes.
        np.save(file, np.full((plan.total, size), 255, np.uint8))
        recorder = Recorder(shape=(size,), file=str(file))
        net.lifs[lif.name].s_out.connect(recorder.a_in)
        models[recorder] = PyRecorderModel
    config = Loihi2SimCfg(select_tag=plan.tag, exception_proc_model_map=models)
    first = net.order[0]
    first.run(condition=RunSteps(num_steps=plan.total), run_cfg=config)
    first.stop()
    (folder / "done").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
