"""Interleaved timing: candidates run in turn, so that a drift of the machine cancels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

Work = Callable[[], object]


def medians(
    works: Mapping[str, Work],
    *,
    rounds: int = 7,
    warm_up: int = 1,
    device: str = "cpu",
) -> dict[str, float]:
    """Return the median seconds of each work over rounds of A B C, A B C, …

    Args:
        works: name → the function to time.
        rounds: the number of counted rounds.
        warm_up: the number of rounds before them, which are not counted.
        device: cpu: seconds by the clock; cuda: :func:`on_gpu`.
    """
    clock = on_gpu if device == "cuda" else by_clock
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for index in range(warm_up + rounds):
        for name, work in works.items():
            taken = clock(work)
            if index >= warm_up:
                seconds[name].append(taken)
    return {name: median(values) for name, values in seconds.items()}


def by_clock(work: Work) -> float:
    """Run a work and return its seconds by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def on_gpu(work: Work) -> float:
    """Run a work on an idle GPU and return the seconds between its first and its last operation.

    The time of a launch counts where the GPU waits for it.
    """
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def show(title: str, settings: Mapping[str, Mapping[str, float]], baseline: str) -> None:
    """Print milliseconds and the ratio to the baseline: a row per work, a column per setting."""
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column(f"ms, × {baseline}", style="bold")
    for setting in settings:
        table.add_column(setting, justify="right")
    for name in next(iter(settings.values())):
        cells = []
        for seconds in settings.values():
            ratio = f"\n{seconds[name] / seconds[baseline]:.2f}×" if name != baseline else ""
            cells.append(f"{1e3 * seconds[name]:.2f}{ratio}")
        table.add_row(name, *cells)
    Console(width=100).print(table)
