"""The common style of all figures, and writing them to files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdft.files import write_atomic

#: Colours of MDFT, of other systems, and of marks drawn on top.
OURS, OTHER, INK = "#1f5f99", "#b9c7d6", "#333333"

_STYLE = {"svg.hashsalt": "mdft", "font.size": 9, "axes.edgecolor": "#999999"}


def write_drawing(path: Path, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Draw a figure to a file; the same numbers give the same file.

    Args:
        path: path of the figure; its ending sets the format.
        size: width and height in inches.
        draw: function that draws on an empty figure.
    """
    content, kind = io.BytesIO(), path.suffix.removeprefix(".")
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(content, format=kind, metadata=metadata, dpi=150)
    write_atomic(path, content.getvalue())


def plain(axes: Axes, title: str, along: Literal["x", "y", "both"]) -> None:
    """Set a title on the left and grey grid lines along an axis, and remove the frame."""
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=along, color="#e3e3e3")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
