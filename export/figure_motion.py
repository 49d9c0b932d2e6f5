"""The figure that shows what the motion branch does with a clip: pictures to spikes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdft.predict_explain import Explanation, Pathway
from mdft.predict_figures import moments

_SHOWN = 9
_INK, _MUTED = "#222222", "#666666"


def draw_motion(figure: Figure, page: Explanation, name: str = "visual") -> None:
    """Frames, events, threshold and the spikes of every layer of one pathway, over one clock.

    Args:
        figure: empty.
        page: what there is to see.
        name: the pathway.
    """
    pathway = next(p for p in page.pathways if p.name == name)
    shown = list(moments(page.footage, _SHOWN))
    layers = len(pathway.spikes)
    ratios = [2.2, 2.2, 1, *[1.5] * layers]
    grid = figure.add_gridspec(3 + layers, len(shown), height_ratios=ratios, wspace=0.02)
    height, width = shown[0][1].shape[:2]
    for column, (time, picture, events) in enumerate(shown):
        top, below = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        top.imshow(picture)
        top.set_title(f"{time:.1f} s", fontsize=8, color=_MUTED)
        below.imshow(events, extent=(0, width, height, 0), interpolation="nearest")
        for axes in (top, below):
            axes.set(xticks=[], yticks=[])
        if column == 0:
            _label(top, "frames")
            _label(below, "events E_v")
    clock = figure.add_subplot(grid[2, :])
    _threshold(clock, pathway, page.steps_per_second)
    for index in range(layers):
        axes = figure.add_subplot(grid[3 + index, :], sharex=clock)
        _raster(axes, pathway.spikes[index], page.steps_per_second)
        _label(axes, f"LIF {index + 1}")
        axes.tick_params(labelbottom=index == layers - 1)
    axes.set_xlabel("seconds")


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=9, color=_INK, rotation=0, ha="right", va="center", labelpad=8)


def _threshold(axes: Axes, pathway: Pathway, steps_per_second: int) -> None:
    theta_S = pathway.theta_S
    time = np.arange(len(theta_S) + 1) / steps_per_second
    axes.stairs(theta_S, time, baseline=None, color="#d9730d", linewidth=1.8)
    axes.set_xlim(0, time[-1])
    axes.margins(y=0.2)
    axes.spines[["top", "left"]].set_visible(False)
    axes.yaxis.tick_right()
    axes.tick_params(labelbottom=False, labelsize=8)
    _label(axes, "θ(t)")


def _raster(axes: Axes, spikes_SN: np.ndarray, steps_per_second: int) -> None:
    """Neurons down, steps across; the busiest neuron on top."""
    steps, neurons = spikes_SN.shape
    order = np.argsort(-spikes_SN.sum(0), kind="stable")
    axes.imshow(
        spikes_SN[:, order].T,
        aspect="auto",
        cmap="Greys",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(0, steps / steps_per_second, neurons, 0),
    )
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    axes.set_title(
        f"{spikes_SN.mean():.0%} of {neurons} neurons a step", fontsize=8, color=_MUTED, loc="right"
    )
