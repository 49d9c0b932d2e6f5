"""Compare our generator and eventcv at equal numbers of events.

Simulators with different models of light find different numbers of events at the same threshold;
the ratio of times per clip then differs from that per event. At equal numbers both ratios are the
same. Both directions are measured: eventcv at the threshold at which it finds as many events as
ours at 0.2, and ours at the threshold at which it finds as many as eventcv at 0.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.peers import eventcv
from benchmarks.processor_time import Work, measure
from events import frames_to_events

CLOSE = 0.01  # relative difference of numbers of events that count as equal
_C = 0.2


def matching(count: Callable[[float], int], wanted: int, low: float, high: float) -> float:
    """Return a threshold in (low, high) at which `count` is within 1 % of `wanted`, by bisection.

    Raises:
        ValueError: there is no such threshold; the count must fall as the threshold rises.
    """
    for _ in range(30):
        middle = (low * high) ** 0.5
        found = count(middle)
        if abs(found - wanted) <= CLOSE * wanted:
            return middle
        low, high = (middle, high) if found > wanted else (low, middle)
    raise ValueError(f"count: found {found:,} events at {middle:.4f}, expected about {wanted:,}")


@dataclass(frozen=True)
class Run:
    """A simulator at a threshold: the function to time, and its number of events."""

    threshold: float
    work: Work
    events: int


def runs(frames: np.ndarray, times: np.ndarray) -> dict[str, Run]:
    """Return the runs of both simulators at our number of events and at eventcv's.

    Raises:
        ImportError: eventcv is not installed.
        ValueError: no threshold gives the wanted number.
    """

    def ours(threshold: float) -> Run:
        work = partial(frames_to_events, frames, times, threshold=threshold)
        return Run(threshold, work, len(work()))

    def theirs(threshold: float) -> Run:
        peer = eventcv(frames, times, threshold)
        return Run(threshold, peer.work, peer.count())

    one, other = ours(_C), theirs(_C)
    return {
        "ours": one,
        "eventcv, our number": theirs(
            matching(lambda c: theirs(c).events, one.events, _C / 2, 10 * _C)
        ),
        "ours, eventcv's number": ours(
            matching(lambda c: ours(c).events, other.events, _C / 20, 2 * _C)
        ),
        "eventcv": other,
    }


def on_matched(
    frames: np.ndarray, times: np.ndarray, rounds: int, console: Console
) -> dict[str, float]:
    """Print processor times at equal numbers of events; return the ratios of eventcv's to ours."""
    try:
        found = runs(frames, times)
    except ImportError as error:
        console.print(f"equal numbers of events: left out, {error}")
        return {}
    taken = measure({name: run.work for name, run in found.items()}, rounds)
    table = Table(title="equal numbers of events", title_justify="left")
    for column in ("", "C", "events", "CPU ms, median", "least", "eventcv / ours", "of least"):
        table.add_column(column, justify="left" if not column else "right")
    names = list(found)
    for our, name in ((names[index - index % 2], name) for index, name in enumerate(names)):
        run, base, cost = found[name], taken[our], taken[name]
        cells = f"{run.threshold:.4f}", f"{run.events:,}", f"{1e3 * cost.cpu:.1f}"
        ratios = f"{cost.cpu / base.cpu:.1f}", f"{cost.least / base.least:.1f}"
        table.add_row(name, *cells, f"{1e3 * cost.least:.1f}", *ratios)
    console.print(table)
    pairs = {"at our number": names[:2], "at its number": names[2:]}
    return {
        f"eventcv / ours, an event, {which}": taken[theirs].cpu / taken[our].cpu
        for which, (our, theirs) in pairs.items()
    }
