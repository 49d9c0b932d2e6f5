"""``docs/results.svg``: HM of every system against the time that its training takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mdft.baselines import build
from mdft.experiments.drawing import INK, OURS, plain, write_drawing
from mdft.experiments.spread import spread
from mdft.runs import Results


def write_comparison_figure(path: Path, results: Mapping[str, Sequence[Results]]) -> None:
    """Draw the figure; the same numbers give the same file.

    Args:
        path: of the figure; its ending says the format.
        results: system → finished runs.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for system, found in results.items():
            if not found:
                continue
            hm, seconds = spread(100 * r.hm for r in found), spread(r.seconds for r in found)
            up, across = (hm.std, seconds.std) if hm.n > 1 else (None, None)
            place, colour = (seconds.mean, hm.mean), OURS if system == build.OURS else INK
            axes.errorbar(*place, yerr=up, xerr=across, fmt="o", color=colour, capsize=2)
            label = build.TITLES[system]
            axes.annotate(label, place, (5, 5), textcoords="offset points", color=colour)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("training, seconds (log scale)")
        axes.set_ylabel("HM, %")
        plain(axes, "HM against training time", "both")

    write_drawing(path, (7, 4), draw)
