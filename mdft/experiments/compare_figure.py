"""``docs/results.svg``: HM of every system against its training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from mdft.config.data import Compared
from mdft.experiments.compare_report import Entry
from mdft.experiments.drawing import INK, OTHER, OURS, plain, write_drawing
from mdft.experiments.record import FinishedRun
from mdft.experiments.spread import spread
from mdft.systems import build

#: A system's title, its point, and its colour.
Label = tuple[str, tuple[float, float], str]
#: Vertical distances of a label from its point to try, in points of 1/72 inch.
_REACHES = (5, 18, 31, 44, 57, 70)


def write_comparison_figure(path: Path, blocks: Mapping[Compared, Mapping[str, Entry]]) -> None:
    """Draw the figure; the same numbers give the same file.

    Args:
        path: path of the figure; its ending sets the format.
        blocks: inputs → system → its entry; a panel for each inputs.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(blocks), squeeze=False)[0]
        labels = [
            _panel(axes, inputs, {name: entry.results for name, entry in entries.items()})
            for axes, (inputs, entries) in zip(panels, blocks.items(), strict=True)
        ]
        panels[0].set_ylabel("HM, %")
        figure.draw_without_rendering()  # the layout decides which labels overlap
        for axes, of_panel in zip(panels, labels, strict=True):
            _write_labels(axes, of_panel)

    write_drawing(path, (5 * len(blocks) + 1, 4.5), draw)


def _panel(axes: Axes, title: str, results: Mapping[str, Sequence[FinishedRun]]) -> list[Label]:
    """Draw the points of a panel; return their labels."""
    labels: list[Label] = []
    for system, found in results.items():
        if not found:
            continue
        hm, seconds = spread(100 * r.hm for r in found), spread(r.seconds for r in found)
        up, across = (hm.std, seconds.std) if hm.n > 1 else (None, None)
        place, colour = (seconds.mean, hm.mean), OURS if system == build.OURS else INK
        axes.errorbar(*place, yerr=up, xerr=across, fmt="o", color=colour, capsize=2)
        labels.append((build.TITLES[system], place, colour))
    axes.set_xscale("log")
    axes.margins(x=0.3, y=0.1)  # room for the labels
    axes.set_ylim(bottom=0)
    axes.set_xlabel("training, seconds (log scale)")
    plain(axes, title, "both")
    return labels


def _write_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Write each label at the nearest place in the panel where it overlaps no point and no label.

    A label that is not beside its point has a line to it.
    """
    points = [axes.transData.transform(place) for _, place, _ in labels]
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in points]
    for label in labels:
        for place in product(_REACHES, (1, -1), (5, -5)):
            written = _write(axes, label, *place)
            written.get_window_extent()  # moves the text to its place
            box = Text.get_window_extent(written)  # without the line
            inside = axes.bbox.x0 <= box.x0 and axes.bbox.y0 <= box.y0
            if inside and not any(box.overlaps(other) for other in taken):
                break
            written.remove()
        else:
            written = _write(axes, label, _REACHES[0], 1, 5)
            box = written.get_window_extent()
        taken.append(box)


def _write(axes: Axes, label: Label, reach: int, up: int, across: int) -> Annotation:
    """Write a label above (``up`` 1) or below (−1) its point, to the right or to the left."""
    text, place, colour = label
    line = {"arrowstyle": "-", "color": OTHER, "shrinkA": 0, "shrinkB": 3, "linewidth": 0.8}
    return axes.annotate(
        text,
        place,
        (across, up * reach),
        textcoords="offset points",
        arrowprops=None if reach == _REACHES[0] else line,
        color=colour,
        ha="left" if across > 0 else "right",
        va="bottom" if up > 0 else "top",
    )
