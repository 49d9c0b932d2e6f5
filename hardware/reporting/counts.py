"""The figures of a report that count: weights, membranes, firing rates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from hardware.graph.network import Population
from hardware.reporting.data import Material
from hardware.reporting.draw import BLUE, ORANGE, RED, Picture, panels, svg
from hardware.reporting.ranges import STORED_LIMIT, stored_weights


def weights(material: Material) -> Picture:
    """Histograms of the weights, as stored in integers where there are such."""
    integers = material.integers

    def draw(axes: Axes, p: Population) -> None:
        stored = stored_weights(integers, p.name)
        if stored is None:
            axes.hist(np.concatenate([s.weight.ravel() for s in p.synapses]), 64, color=BLUE)
        else:
            axes.hist(stored, bins=list(range(-257, 258, 2)), color=BLUE, histtype="stepfilled")
            for limit in (-STORED_LIMIT, STORED_LIMIT):
                axes.axvline(limit, color=RED, linewidth=0.8)
        axes.set_yscale("log")
        axes.set_title(p.name)

    what = "weight" if integers is None else "stored integer"
    figure = panels(material, draw, what, "weights", 2.0)
    caption = "All synapses of a layer, threshold column included; counts on a logarithmic axis."
    if integers is not None:
        caption += f" Red: ±{STORED_LIMIT}, the even integers that 8 bits of mixed signs reach."
    return Picture(svg(figure), "Weights against their range", caption)


def histograms(material: Material) -> Picture:
    """Histograms of the membranes before the reset."""

    def draw(axes: Axes, p: Population) -> None:
        values = material.probe.membranes[p.name].ravel()
        axes.hist(values, 120, color=BLUE, histtype="stepfilled")
        for theta in {float(p.v_threshold.min()), float(p.v_threshold.max())}:
            axes.axvline(theta, color=ORANGE, linewidth=1.0, linestyle="--")
        axes.set_yscale("log")
        axes.set_title(p.name)

    figure = panels(material, draw, "membrane before the reset", "neuron-steps", 2.0)
    caption = (
        "The probe's membranes, all samples, on a logarithmic axis. Dashed: the threshold, its "
        "lowest and highest where neurons differ."
    )
    return Picture(svg(figure), "Membranes against the threshold", caption)


def rates(material: Material) -> Picture:
    """Firing rate of every neuron, sorted."""

    def draw(axes: Axes, p: Population) -> None:
        rate_N = np.sort(material.probe.spikes[p.name].mean((0, 1)))[::-1]
        axes.fill_between(np.arange(p.size), rate_N, color=BLUE, step="mid", linewidth=0)
        axes.set_ylim(0, 1)
        axes.set_title(f"{p.name}, mean {rate_N.mean():.1%}")

    figure = panels(material, draw, "neuron, sorted", "spikes per step", 2.0)
    return Picture(svg(figure), "Firing rates", "Share of the steps in which a neuron fires.")
