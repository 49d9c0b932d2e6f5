"""``docs/ablations.svg``: HM of every ablation, with its spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdft.experiments.ablations import COMPARISONS, FULL, MODALITIES, THRESHOLDS, Comparison
from mdft.experiments.drawing import INK, OTHER, OURS, plain, write_drawing
from mdft.experiments.spread import spread
from mdft.runs.folder import Results

_MODALITY = {"both": OURS, "audio": "#d9903d", "visual": "#7aa874"}


def write_figure(path: Path, results: Mapping[str, Sequence[Results]]) -> None:
    """Draw the figure; the same numbers give the same file.

    Args:
        path: path of the figure; its ending sets the format.
        results: name of every ablation → finished runs.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplot_mosaic([["a", "b"], ["c", "d"], ["e", "e"]])
        *tables, thresholds = COMPARISONS
        most = max((100 * r.hm for found in results.values() for r in found), default=100.0)
        for key, comparison in zip("abcd", tables, strict=True):
            _bars(axes[key], comparison, results)
            axes[key].set_xlim(0, 1.08 * most)
        _thresholds(axes["e"], thresholds.title, results)
        axes["e"].set_ylim(0, 1.08 * most)

    write_drawing(path, (10, 9), draw)


def _bars(axes: Axes, comparison: Comparison, results: Mapping[str, Sequence[Results]]) -> None:
    """Draw one bar per row, with the paper's first row on top."""
    for place, row in enumerate(comparison.rows):
        values = [100 * r.hm for r in results[row.name]]
        _bar(axes, place, values, 0.7, OURS if row.name == FULL else OTHER, upright=False)
    axes.set_yticks(range(len(comparison.rows)), [row.label for row in comparison.rows])
    axes.invert_yaxis()
    axes.set_xlabel("HM, %")
    plain(axes, comparison.title, "x")


def _thresholds(axes: Axes, title: str, results: Mapping[str, Sequence[Results]]) -> None:
    """Draw a group of bars per threshold and a bar per modality, as in the paper's Figure 5."""
    width = 0.26
    for group, name in enumerate(THRESHOLDS):
        for place, modality in enumerate(MODALITIES):
            values = [100 * r.hm for r in results[f"{name}_{modality}"]]
            _bar(axes, group + (place - 1) * width, values, width, _MODALITY[modality])
    last = len(THRESHOLDS)
    _bar(axes, last, [100 * r.hm for r in results["paper_both"]], width, _MODALITY["both"])
    labels = [label for label, _ in THRESHOLDS.values()] + ["dynamic (as printed)"]
    axes.set_xticks(range(last + 1), labels)
    for modality, label in MODALITIES.items():
        axes.bar(0, 0, color=_MODALITY[modality], label=label)
    axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    axes.set_ylabel("HM, %")
    plain(axes, title, "y")


def _bar(
    axes: Axes,
    place: float,
    values: Sequence[float],
    width: float,
    colour: str,
    *,
    upright: bool = True,
) -> None:
    """Draw the mean as a bar, the standard deviation as a whisker and each seed as a dot."""
    if not values:
        return
    value = spread(values)
    draw, error = (axes.bar, "yerr") if upright else (axes.barh, "xerr")
    lines = {"ecolor": INK, "capsize": 3, "elinewidth": 1, "zorder": 3}  # above the dots
    whisker = {error: value.std, "error_kw": lines}
    draw(place, value.mean, width, color=colour, **(whisker if value.n > 1 else {}))
    places = [place] * len(values)
    across, up = (places, values) if upright else (values, places)
    axes.plot(across, up, "o", color="white", markeredgecolor=INK, markersize=3, alpha=0.8)
