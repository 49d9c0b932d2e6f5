"""How the figures of a report are drawn: panels, colours, and SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hardware.graph.network import Population
from hardware.reporting.data import Material

INK, FAINT, BLUE, ORANGE, RED = "#222222", "#9aa0a6", "#1f5fa8", "#d9730d", "#c0262d"
COLUMNS = 3  # layers side by side
#: Nothing of the moment or of the machine: the same report, the same bytes.
STYLE = {
    "svg.hashsalt": "mdft",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True)
class Picture:
    """One figure: an SVG file, its heading, and what is to be seen in it."""

    svg: bytes
    title: str
    caption: str

    @property
    def uri(self) -> str:
        """The figure as a data URI, for a page without other files."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


def panels(
    material: Material, draw: Callable[[Axes, Population], None], x: str, y: str, height: float
) -> Figure:
    """One panel a layer that fires, three in a row."""
    layers = [p for p in material.network.populations if p.fires]
    rows = -(-len(layers) // COLUMNS)
    figure = Figure(figsize=(9, height * rows), layout="constrained")
    grid = figure.subplots(rows, min(COLUMNS, len(layers)), squeeze=False)
    for axes, p in zip(grid.flat, layers, strict=False):
        draw(axes, p)
        axes.set_xlabel(x)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in grid[:, 0]:
        axes.set_ylabel(y)
    for axes in grid.flat[len(layers) :]:
        axes.set_axis_off()
    return figure


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA, dpi=160)
    return buffer.getvalue()
