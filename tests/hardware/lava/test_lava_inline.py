"""Lava in this process, run after run: it holds on to nothing."""

from __future__ import annotations

import gc
import logging
import tracemalloc

import numpy as np
import pytest

from hardware.graph.graph import lower
from hardware.lava.build import require_lava
from hardware.lava.inline import run_inline
from hardware.lava.plan import plan_float
from tests.hardware.nets import random_graph, random_inputs

WIDTH, RUNS = 128, 20


@pytest.mark.lava
def test_runs_leave_no_processes_handlers_and_weights_behind():
    require_lava()
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    rng = np.random.default_rng(0)
    network = lower(random_graph(rng, features=WIDTH, size=WIDTH, layers=2))
    plan = plan_float(network, random_inputs(rng, features=WIDTH, batch=1, steps=2))
    log, compilers = logging.getLogger(), logging.getLogger("lava.magma.compiler.compiler")

    def listed() -> list[int]:
        lists = [ProcessServer().processes, VarServer().vars, log.handlers, compilers.handlers]
        return [len(x) for x in lists]

    before = listed()
    run_inline(plan)  # what is loaded once
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(RUNS):
            run_inline(plan)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert listed() == before
    assert kept / RUNS < 4_000, kept  # the weights alone would be 256 kB a run
