"""``python -m benchmarks.profile``: profile a training step of MDFT by parts.

The steps of the trainer run under torch's profiler; the functions of each part are wrapped in a
range. A backward operation belongs to the part whose forward operation it differentiates. Times are
wall times, the only ones of the profiler: for each operation the least of some steps, to reduce the
influence of other processes. The profiler takes some microseconds per operation; the processor time
of a step without it is printed below the table.
"""

from __future__ import annotations

import functools
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.figures import write_figures
from benchmarks.processor_time import minima, timed
from benchmarks.stepping import Stop, train, training
from benchmarks.synthetic import Shape, random_clips
from benchmarks.training import configured
from mdft.model import crm, dab, health, layers, motion, rjlu
from mdft.model import mdft as model
from mdft.systems import mdft as ours
from mdft.training import feed
from mdft.training import step as loop

MOTION, LEAVES, REST = "motion: snapping to the grid", "gradients of weights added up", "the rest"
#: The wrapped functions: owner, name of the function, and part.
PARTS: tuple[tuple[Any, str, str], ...] = (
    (feed.Resident, "batch", "data"),
    (layers.Encoder, "forward", "encoders"),
    (rjlu.RJLU, "forward", "RJLU"),
    (dab.DiscrepancyAnalysis, "forward", "DAB"),
    (model, "dynamic_threshold", "threshold"),
    (motion.MotionBranch, "layer", MOTION),
    (crm.CRM, "forward", "CRM"),
    (layers.Projection, "forward", "projections"),
    (layers.Reconstruction, "forward", "projections"),
    (ours, "total_loss", "losses"),
    (ours, "firing_rates", "losses"),
    (loop, "check_finite", "checks and counts"),
    (health.FiringStatistics, "add", "checks and counts"),
)
_PRODUCTS = "motion: matrix products"
#: Operations of the motion branch that have separate rows.
_IN_MOTION = {"aten::linear": _PRODUCTS, "_SpikeProduct": _PRODUCTS, "_FusedLIF": "motion: LIF"}
_ENGINE, _RANGE = "autograd::engine::evaluate_function: ", "part: "

#: (part, whether backward) → seconds of its operations, in order.
Times = dict[tuple[str, bool], list[float]]


@dataclass(frozen=True)
class Options:
    """The settings of the profile."""

    quick: bool = False
    """One small setting, two steps."""
    batch: int = 64
    """Clips per step."""
    seconds: int = 10
    """Seconds T of every clip."""
    bins: int = 1
    """K."""
    steps: int = 5
    """Profiled steps."""
    threads: int = 1
    """Threads of torch."""
    figures: Path | None = None
    """Also write the ratios to this JSON file, for ``python -m benchmarks``."""


@contextmanager
def ranges():
    """A context in which every part of ``PARTS`` has a range in a profile."""
    with ExitStack() as stack:
        for owner, name, part in PARTS:
            ranged = _ranged(getattr(owner, name), part)
            stack.enter_context(mock.patch.object(owner, name, ranged))
        yield


def _ranged(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with record_function(_RANGE + part):
            return function(*args, **kwargs)

    return wrapper


def assigned(events: Iterable[Any]) -> Iterator[tuple[Any, str, bool]]:
    """Yield each operation in order, its part, and whether it belongs to the backward pass.

    Args:
        events: the events of a profile.
    """
    events = sorted(events, key=lambda event: event.time_range.start)
    source: dict[int, str] = {}
    for event in events:
        if event.sequence_nr >= 0 and not _up(event, _ENGINE):
            source[event.sequence_nr] = _part(event)  # the last operation created the node
    for event in events:
        if node := _up(event, _ENGINE):
            leaf = "AccumulateGrad" in node.name
            yield event, LEAVES if leaf else source.get(node.sequence_nr, REST), True
        else:
            yield event, _part(event), False


def by_part(events: Iterable[Any]) -> Times:
    """Return the seconds of each operation without its children, by part.

    Args:
        events: the events of a profile.
    """
    times: Times = defaultdict(list)
    for event, part, backward in assigned(events):
        times[part, backward].append(event.self_cpu_time_total / 1e6)
    return times


def least(steps: Sequence[Times]) -> dict[str, tuple[float, float]]:
    """Return part → forward and backward seconds: sums over operations of the least over steps.

    Args:
        steps: the times of several steps with the same operations.
    """
    sums = {
        key: sum(map(min, zip(*(times[key] for times in steps), strict=True))) for key in steps[0]
    }
    parts = dict.fromkeys(part for part, _ in sums)
    return {part: (sums.get((part, False), 0.0), sums.get((part, True), 0.0)) for part in parts}


def _up(event: Any, prefix: str) -> Any:
    """Return the event or its nearest ancestor with that prefix of the name, or None."""
    while event is not None and not event.name.startswith(prefix):
        event = event.cpu_parent
    return event


def _part(event: Any) -> str:
    """Return the part of a forward event, from the innermost range around it."""
    if _up(event, "Optimizer."):
        return "optimiser"
    around = _up(event, _RANGE)
    part = around.name.removeprefix(_RANGE) if around else REST
    if part == MOTION:
        for name, row in _IN_MOTION.items():
            if _up(event, name):
                return row
    return part


def profiled(options: Options) -> tuple[dict[str, tuple[float, float]], float]:
    """Return the seconds of every part, by :func:`least`, and the CPU seconds of a step alone.

    Args:
        options: the settings of the steps.
    """
    shape = Shape(seconds=options.seconds, bins=options.bins)
    batch, steps = options.batch, options.steps
    if options.quick:
        shape = replace(shape, clips=400, test=150, seconds=3, width=32)
        batch, steps = 32, 2
    config, clips = configured("mdft", shape, batch, "cpu"), random_clips(shape)
    found: list[Times] = []
    record = _profile()

    def after_step() -> None:
        nonlocal record
        record.stop()
        found.append(by_part(record.events() or []))
        if len(found) > steps:  # the first one includes initialisation
            raise Stop
        record = _profile()
        record.start()

    record.start()
    with ranges(), suppress(Stop):
        train(config, clips, after_step)
    work = training(config, clips)
    alone = minima({"step": timed(work.step)}, rounds=steps, warm_up=2)["step"]
    work.close()
    return least(found[1:]), alone


def _profile() -> profile:
    return profile(activities=[ProfilerActivity.CPU], acc_events=True)


def table(title: str, times: Mapping[str, tuple[float, float]]) -> Table:
    """Return a table of the milliseconds of each part, largest first.

    Args:
        title: the title of the table.
        times: the result of :func:`least`.
    """
    out = Table(title=title, title_justify="left")
    out.add_column("part", style="bold")
    for column in ("forward, ms", "backward, ms", "together, ms", "share"):
        out.add_column(column, justify="right")
    whole = sum(map(sum, times.values()))
    for part, (ahead, back) in sorted(times.items(), key=lambda item: -sum(item[1])):
        cells = (ahead, back, ahead + back)
        share = f"{(ahead + back) / whole:.1%}"
        out.add_row(part, *(f"{1e3 * seconds:.2f}" for seconds in cells), share)
    out.add_row("all", "", "", f"{1e3 * whole:.2f}", "100 %")
    return out


def main(options: Options) -> None:
    """Print the table."""
    torch.set_num_threads(options.threads)
    console = Console(width=100)
    what = "quick" if options.quick else f"B {options.batch}, T {options.seconds}, K {options.bins}"
    where = f"{options.threads} threads, {platform.machine()}, torch {torch.__version__}"
    times, alone = profiled(options)
    whole = sum(map(sum, times.values()))
    write_figures(options.figures, {f"{p} / step": sum(t) / whole for p, t in times.items()})
    console.print(table(f"a training step of MDFT, {what}, {where}", times))
    console.print(f"a step without the profiler: {1e3 * alone:.2f} ms of the processor")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
