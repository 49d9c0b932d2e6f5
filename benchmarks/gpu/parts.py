"""The parts in their order, and the seconds that each may take: nine minutes in all."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.gpu import compute, floors, neurons, suite, training
from benchmarks.gpu.results import Row
from benchmarks.gpu.sizes import Sizes

Measure = Callable[[Sizes, Callable[[Row], None]], None]
#: Name → what it measures, and its limit in seconds.
PARTS: dict[str, tuple[Measure, float]] = {
    "device": (floors.device, 30),
    "ceilings": (floors.ceilings, 25),
    "tests": (suite.tests, 120),
    "motion": (neurons.motion, 75),
    "peers": (neurons.peers, 60),
    "training": (training.steps, 100),
    "autocast": (compute.autocast, 30),
    "compile": (compute.compiled, 60),
    "feed": (compute.feeds, 30),
}
