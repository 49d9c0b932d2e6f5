"""Interleaved timing: candidates run in turn, so that a drift of the machine cancels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

from rich.console import Console
from rich.table import Table


def medians(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    warm_up: int = 1,
    wait: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Return the median wall seconds of each work over rounds of A B C, A B C, …

    Args:
        works: name → the function to time.
        rounds: the number of counted rounds.
        warm_up: the number of rounds before them, which are not counted.
        wait: a function that waits for the device, such as ``torch.cuda.synchronize``.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for index in range(warm_up + rounds):
        for name, work in works.items():
            wait()
            start = time.perf_counter()
            work()
            wait()
            if index >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


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
