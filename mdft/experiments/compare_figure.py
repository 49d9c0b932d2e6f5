"""``docs/results.svg``: HM of every system, with its standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdft.config.data import Compared
from mdft.experiments.compare_report import BLOCKS, Entry
from mdft.experiments.compare_rows import ROWS
from mdft.experiments.drawing import INK, OURS, plain, write_drawing
from mdft.experiments.spread import Spread, spread
from mdft.systems import build


def write_comparison_figure(path: Path, blocks: Mapping[Compared, Mapping[str, Entry]]) -> None:
    """Draw the figure; the same numbers give the same file.

    Args:
        path: path of the figure; its ending sets the format.
        blocks: inputs → system → its entry; a panel for each inputs.
    """
    found: dict[Compared, dict[str, Spread]] = {i: _ranked(each) for i, each in blocks.items()}
    most = max(map(len, found.values()))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(found), squeeze=False, sharex=True)[0]
        for axes, (inputs, values) in zip(panels, found.items(), strict=True):
            _panel(axes, BLOCKS[inputs][0], values)
        panels[0].set_xlim(left=min(0.0, panels[0].get_xlim()[0]))

    write_drawing(path, (3.4 * len(found), 0.9 + 0.22 * most), draw)


def _ranked(entries: Mapping[str, Entry]) -> dict[str, Spread]:
    """System → its HM in per cent, the highest first; without the systems that have no runs."""
    found = {s: spread(100 * r.hm for r in e.results) for s, e in entries.items() if e.runs}
    return dict(sorted(found.items(), key=lambda item: -item[1].mean))


def _panel(axes: Axes, title: str, values: Mapping[str, Spread]) -> None:
    """Draw a row for each system, from top to bottom."""
    for row, (system, hm) in enumerate(values.items()):
        across = hm.std if hm.n > 1 else None
        colour = OURS if system == build.OURS else INK
        axes.errorbar(hm.mean, row, xerr=across, fmt="o", color=colour, markersize=4, capsize=2)
    axes.set_yticks(range(len(values)), [ROWS[system] for system in values])
    for system, label in zip(values, axes.get_yticklabels(), strict=True):
        if system == build.OURS:
            label.set(color=OURS, fontweight="bold")
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel("HM, %")
    plain(axes, title, "both")
