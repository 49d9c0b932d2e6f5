"""``docs/results.svg``: HM of every system against its training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mdft.config.data import Inputs
from mdft.experiments.compare_report import Entry
from mdft.experiments.drawing import INK, OURS, plain, write_drawing
from mdft.experiments.spread import spread
from mdft.runs.folder import Results
from mdft.systems import build


def write_comparison_figure(path: Path, blocks: Mapping[Inputs, Mapping[str, Entry]]) -> None:
    """Draw the figure; the same numbers give the same file.

    Args:
        path: path of the figure; its ending sets the format.
        blocks: inputs → system → its entry; a panel for each inputs.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(blocks), sharey=True, squeeze=False)[0]
        for axes, (inputs, entries) in zip(panels, blocks.items(), strict=True):
            _panel(axes, inputs, {name: entry.results for name, entry in entries.items()})
        panels[0].set_ylabel("HM, %")

    write_drawing(path, (5 * len(blocks) + 1, 4.5), draw)


def _panel(axes: Axes, title: str, results: Mapping[str, Sequence[Results]]) -> None:
    labels: list[tuple[str, tuple[float, float], str]] = []
    for system, found in results.items():
        if not found:
            continue
        hm, seconds = spread(100 * r.hm for r in found), spread(r.seconds for r in found)
        up, across = (hm.std, seconds.std) if hm.n > 1 else (None, None)
        place, colour = (seconds.mean, hm.mean), OURS if system == build.OURS else INK
        axes.errorbar(*place, yerr=up, xerr=across, fmt="o", color=colour, capsize=2)
        labels.append((build.TITLES[system], place, colour))
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("training, seconds (log scale)")
    plain(axes, title, "both")
    _write_labels(axes, labels)


def _write_labels(axes: Axes, labels: Sequence[tuple[str, tuple[float, float], str]]) -> None:
    """Write a label beside each point, in the first of four corners where it overlaps no other."""
    taken: list[Bbox] = []
    for text, place, colour in labels:
        for up, across in product((5, -5), (5, -5)):
            label = axes.annotate(
                text,
                place,
                (across, up),
                textcoords="offset points",
                color=colour,
                ha="left" if across > 0 else "right",
                va="bottom" if up > 0 else "top",
            )
            box = label.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            if (across, up) != (-5, -5):
                label.remove()
        taken.append(box)
