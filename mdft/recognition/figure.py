"""A picture of one recording: its events, the spikes and membranes of the network, its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdft.recognition.network import SpikingGraph

_STRIPS = 6  # bins that are shown as images
_RASTER = 120  # neurons of a layer that are shown
#: Colours of the classes in the legend, of Okabe and Ito: the colour-blind can tell them apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")


@torch.no_grad()
def draw(
    network: SpikingGraph,
    counts_SX: NDArray[np.uint8],
    classes: Sequence[str],
    label: int,
    bin_ms: float,
) -> Figure:
    """Draw one recording and what the network makes of it, over time.

    From top to bottom: events of some bins (ON red, OFF blue); spikes of each layer; membranes of
    the output and the threshold, a dashed line, as a share of the constant threshold; and its
    spikes so far, whose largest number is the answer.

    Args:
        network: a trained network.
        counts_SX: the recording, (bins, polarities, height, width).
        classes: names of the classes.
        label: the class of the recording.
        bin_ms: length of a bin in milliseconds.
    """
    x_BSX = torch.from_numpy(counts_SX.astype(np.float32))[None]
    traces = network.trace(x_BSX)
    hidden = [name for name in traces if name != network.output]
    output = traces[network.output]
    theta = float(network.neurons[network.output].threshold.mean())
    steps = len(counts_SX)
    delta_S = np.zeros(steps)
    if network.threshold is not None:
        delta_S = network.threshold.theta(x_BSX)[0, :, 0].numpy() - network.threshold.theta_0
    times = (np.arange(steps) + 0.5) * bin_ms
    rows = 3 + len(hidden)
    figure = Figure(figsize=(9, 1.9 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, _STRIPS)
    for i, step in enumerate(np.linspace(0, steps - 1, _STRIPS).round().astype(int)):
        axes = figure.add_subplot(grid[0, i])
        _image(axes, counts_SX[step])
        axes.set_title(f"{times[step]:.0f} ms", fontsize=8)
    last: Axes | None = None
    for row, name in enumerate(hidden, start=1):
        last = figure.add_subplot(grid[row, :], sharex=last)
        spikes_SN = traces[name].spikes_BSN[0].numpy()
        _raster(last, spikes_SN, times, name)
    membranes = figure.add_subplot(grid[-2, :], sharex=last)
    total = figure.add_subplot(grid[-1, :], sharex=membranes)
    sums_SC = output.spikes_BSN[0].numpy().cumsum(0)
    answer = int(sums_SC[-1].argmax())
    shown = np.argsort(-sums_SC[-1], kind="stable")[: len(_COLOURS)]
    for colour, c in zip(_COLOURS, shown, strict=False):
        style = {"color": colour, "linewidth": 2.2 if c == answer else 1.0}
        # The network computes u = v − δ against a constant threshold.
        values = (output.membranes_BSN[0, :, c].numpy() + delta_S) / theta
        membranes.plot(times, values, marker=".", **style)
        total.step(times, sums_SC[:, c], where="mid", label=classes[c], **style)
    membranes.plot(times, 1 + delta_S / theta, color="black", linewidth=0.8, linestyle="--")
    membranes.set_ylabel("membrane / θ")
    total.set_ylabel("spikes so far")
    total.set_xlabel("ms")
    total.legend(ncols=len(_COLOURS), fontsize=8, loc="upper left", title="class", title_fontsize=8)
    total.set_ylim(0, max(1.0, 1.5 * float(sums_SC.max())))
    verdict = "correct" if answer == label else f"wrong, it is {classes[label]}"
    figure.suptitle(f"answer: {classes[answer]} ({verdict})", fontsize=11)
    return figure


def _image(axes: Axes, counts_PYX: NDArray[np.uint8]) -> None:
    """ON minus OFF of one bin; without polarities the counts."""
    signed = counts_PYX[-1].astype(float)
    if len(counts_PYX) == 2:
        signed = signed - counts_PYX[0]
    limit = max(1.0, float(np.abs(signed).max()))
    axes.imshow(signed, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _raster(axes: Axes, spikes_SN: NDArray[np.float32], times: NDArray, name: str) -> None:
    """The spikes of the neurons that fire most."""
    counts = spikes_SN.sum(0)
    most = np.sort(np.argsort(-counts, kind="stable")[:_RASTER])
    step, neuron = np.nonzero(spikes_SN[:, most])
    axes.plot(times[step], neuron, "|", color="black", markersize=3)
    axes.set_yticks([])
    axes.set_ylabel("neuron")
    shown = min(_RASTER, spikes_SN.shape[1])
    axes.set_title(
        f"{name}: {int(counts.sum()):,} spikes, {shown} of {spikes_SN.shape[1]:,} neurons",
        fontsize=8,
        loc="left",
    )
