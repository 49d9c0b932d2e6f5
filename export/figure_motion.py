"""The figure of the motion branch for one clip: from frames to spikes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mdft.inference.explain import Explanation, Pathway
from mdft.inference.figures import moments

_SHOWN = 12
_INK, _MUTED = "#222222", "#666666"


def draw_motion(figure: Figure, page: Explanation, name: str = "visual") -> None:
    """Draw frames, events, threshold and the spikes of all layers of a pathway on one time axis.

    Args:
        figure: an empty figure.
        page: the data of the clip.
        name: the pathway.
    """
    pathway = next(p for p in page.pathways if p.name == name)
    layers = len(pathway.spikes)
    ratios = [1, 1, 1, *[1.6] * layers]
    frames, events, theta, *rasters = figure.subplots(3 + layers, sharex=True, height_ratios=ratios)
    displayed = list(moments(page.footage, _SHOWN))
    half = 0.47 * page.footage.seconds / len(displayed)
    for time, picture, image in displayed:
        place = (time - half, time + half, 0, 1)
        frames.imshow(picture, extent=place, aspect="auto")
        events.imshow(image, extent=place, aspect="auto", interpolation="nearest")
        events.add_patch(Rectangle((place[0], 0), 2 * half, 1, fill=False, edgecolor="#cccccc"))
    for axes, text in ((frames, "frames"), (events, "events E_v")):
        axes.set(yticks=[], ylim=(0, 1))
        axes.spines[:].set_visible(False)
        axes.tick_params(bottom=False)
        _label(axes, text)
    _threshold(theta, pathway, page.steps_per_second)
    for index, axes in enumerate(rasters):
        _raster(axes, pathway.spikes[index], page.steps_per_second)
        _label(axes, f"LIF {index + 1}")
    axes.set(xlim=(0, page.footage.seconds), xlabel="seconds")


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=9, color=_INK, rotation=0, ha="right", va="center", labelpad=8)


def _threshold(axes: Axes, pathway: Pathway, steps_per_second: int) -> None:
    theta_S = pathway.theta_S
    time = np.arange(len(theta_S) + 1) / steps_per_second
    axes.stairs(theta_S, time, baseline=None, color="#d9730d", linewidth=1.8)
    axes.margins(y=0.2)
    axes.spines[["top", "left"]].set_visible(False)
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=8)
    _label(axes, "θ(t)")


def _raster(axes: Axes, spikes_SN: np.ndarray, steps_per_second: int) -> None:
    """Draw a raster: neurons down, steps across; the most active neuron on top."""
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
        f"{spikes_SN.mean():.0%} of {neurons} neurons per step",
        fontsize=8,
        color=_MUTED,
        loc="right",
    )
