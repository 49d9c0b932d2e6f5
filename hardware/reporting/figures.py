"""The figures of a report, in SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from hardware.graph import matrices
from hardware.graph.network import Population
from hardware.reporting.data import Material, Report
from hardware.reporting.operations import Cost
from hardware.reporting.ranges import STORED_LIMIT, stored_weights

THRESHOLD = "threshold_current"
INK, FAINT, BLUE, ORANGE, RED = "#222222", "#9aa0a6", "#1f5fa8", "#d9730d", "#c0262d"
COLUMNS = 3  # number of layers side by side
#: No dates and no settings of the machine: the same report gives the same bytes.
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
    """One figure: an SVG file, its title and its caption."""

    svg: bytes
    title: str
    caption: str

    @property
    def uri(self) -> str:
        """The figure as a data URI, for a self-contained page."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


def figures(report: Report, material: Material) -> list[Picture]:
    """Return all figures for this graph."""
    with matplotlib.rc_context(STYLE):
        found = [rasters(report, material), thresholds(report, material)]
        found += [membranes(report, material), weights(material), histograms(material)]
        found += [rates(material), operations(report.cost)]
    return [picture for picture in found if picture is not None]


def panels(
    material: Material, draw: Callable[[Axes, Population], None], x: str, y: str, height: float
) -> Figure:
    """Draw one panel per layer that fires, three in a row."""
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
    """Return the figure as an SVG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA, dpi=160)
    return buffer.getvalue()


def focus(report: Report, material: Material) -> tuple[int, str | None]:
    """Return sample and backend of the first difference, else sample 0 and None."""
    if report.first is None or report.first.first is None:
        return 0, None
    layer, (sample, *_) = report.first.layer, report.first.first
    for name, recording in material.recordings.items():
        spikes = recording.spikes.get(layer)  # None if the layer does not fire
        if spikes is not None and (spikes[sample] != material.probe.spikes[layer][sample]).any():
            return sample, name
    return sample, None


def rasters(report: Report, material: Material) -> Picture:
    """Draw the spikes of one sample, layer by layer, and mark those that differ."""
    sample, backend = focus(report, material)

    def draw(axes: Axes, p: Population) -> None:
        expected = material.probe.spikes[p.name][sample].astype(bool)
        steps, neurons = np.nonzero(expected)
        axes.plot(steps, neurons, "|", color=INK, markersize=2, rasterized=True)
        if backend is not None:
            wrong = expected != material.recordings[backend].spikes[p.name][sample].astype(bool)
            steps, neurons = np.nonzero(wrong)
            axes.plot(steps, neurons, "o", color=RED, markersize=5, fillstyle="none")
            if wrong.any():
                axes.axvline(int(steps.min()), color=RED, linewidth=0.6)
        _limits(axes, expected.shape[0], p.size)
        axes.set_title(f"{p.name}, {expected.mean():.1%} firing")

    figure = panels(material, draw, "step", "neuron", 2.6)
    caption = f"Sample {sample} of the probe, spikes of {material.probe.author}. "
    if report.first is None:
        caption += "No backend differs from it."
    elif backend is not None:
        caption += f"Red circles: spikes of {backend} that differ; red line: the first such step."
    return Picture(svg(figure), "Spikes", caption)


def thresholds(report: Report, material: Material) -> Picture | None:
    """Draw θ(t) and its threshold current b(t); None if the graph has no such input."""
    moved = [p for p in material.network.populations if _moves(p)]
    if THRESHOLD not in material.network.inputs or not moved:
        return None
    keep, theta_0 = 1 - float(moved[0].decay[0]), float(moved[0].v_threshold[0])
    current_BS = material.probe.inputs[THRESHOLD].mean(2, dtype=np.float64)
    theta_BS = theta_0 + offsets(current_BS, keep)
    sample, _ = focus(report, material)
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, values, title in (
        (left, theta_BS, "threshold θ(t)"),
        (right, current_BS, "current b(t)"),
    ):
        axes.step(np.arange(values.shape[1]), values.T, color=FAINT, linewidth=0.6, where="mid")
        axes.step(
            np.arange(values.shape[1]), values[sample], color=BLUE, linewidth=1.6, where="mid"
        )
        axes.set_title(title)
        axes.set_xlabel("step")
    left.axhline(theta_0, color=ORANGE, linewidth=0.8, linestyle="--")
    width = material.network.inputs[THRESHOLD]
    caption = (
        f"Blue: sample {sample}; grey: the other samples; dashed: θ0 = {theta_0:.6g}. Neurons keep "
        f"θ0, and b(t) = β·δ(t−1) − δ(t) moves them by δ = θ − θ0, with β = {keep:g}."
    )
    if width > 1:
        caption += f" Means of {width} neurons."
    return Picture(svg(figure), "Threshold and its current", caption)


def offsets(current_BS: np.ndarray, keep: float) -> np.ndarray:
    """Return the threshold offset δ(t) = β·δ(t−1) − b(t) for a threshold current b.

    Args:
        current_BS: the threshold current b of every step.
        keep: the factor β.
    """
    delta_BS, before_B = np.empty_like(current_BS), np.zeros(len(current_BS))
    for t in range(current_BS.shape[1]):
        delta_BS[:, t] = before_B = keep * before_B - current_BS[:, t]
    return delta_BS


def membranes(report: Report, material: Material) -> Picture | None:
    """Draw the membranes of one neuron per layer in two backends, overlaid."""
    traces = traces_of(material)
    if len(traces) < 2:
        return None
    sample, _ = focus(report, material)

    def draw(axes: Axes, p: Population) -> None:
        neuron = _neuron(report, material, p, sample)
        for (name, values), colour, width in zip(traces, (BLUE, ORANGE), (2.4, 1.0), strict=True):
            axes.plot(values[p.name][sample, :, neuron], color=colour, linewidth=width, label=name)
        axes.axhline(p.v_threshold[neuron], color=FAINT, linewidth=0.8, linestyle="--")
        axes.set_title(f"{p.name}, neuron {neuron}")

    figure = panels(material, draw, "step", "membrane before the reset", 2.2)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    caption = (
        f"Sample {sample}; the neuron of the layer's first difference, else one whose rate is near "
        "its layer's mean. Dashed: the threshold. Units are those of the graph."
    )
    return Picture(svg(figure), f"Membranes in {traces[0][0]} and {traces[1][0]}", caption)


def traces_of(material: Material) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Return the membranes of two backends that recorded them; the probe's if there is only one."""
    found = [
        (name, {layer: recording.membrane(layer) for layer in recording.membranes})
        for name, recording in material.recordings.items()
        if recording.membranes
    ]
    return [*found, (material.probe.author, material.probe.membranes)][:2]


def weights(material: Material) -> Picture:
    """Draw histograms of the weights; of the stored integers if the graph has them."""
    integers = material.integers

    def draw(axes: Axes, p: Population) -> None:
        stored = stored_weights(integers, p.name)
        if stored is None:
            axes.hist(
                np.concatenate([matrices.values(s.weight).ravel() for s in p.synapses]),
                64,
                color=BLUE,
            )
        else:
            axes.hist(stored, bins=list(range(-257, 258, 2)), color=BLUE, histtype="stepfilled")
            for limit in (-STORED_LIMIT, STORED_LIMIT):
                axes.axvline(limit, color=RED, linewidth=0.8)
        axes.set_yscale("log")
        axes.set_title(p.name)

    what = "weight" if integers is None else "stored integer"
    figure = panels(material, draw, what, "weights", 2.0)
    caption = "All synapses of a layer, with the threshold column; counts on a logarithmic axis."
    if integers is not None:
        caption += f" Red: ±{STORED_LIMIT}, the largest even integers of 8 bits with mixed signs."
    return Picture(svg(figure), "Weights against their range", caption)


def histograms(material: Material) -> Picture:
    """Draw histograms of the membranes before the reset."""

    def draw(axes: Axes, p: Population) -> None:
        values = material.probe.membranes[p.name].ravel()
        axes.hist(values, 120, color=BLUE, histtype="stepfilled")
        for theta in {float(p.v_threshold.min()), float(p.v_threshold.max())}:
            axes.axvline(theta, color=ORANGE, linewidth=1.0, linestyle="--")
        axes.set_yscale("log")
        axes.set_title(p.name)

    figure = panels(material, draw, "membrane before the reset", "neuron-steps", 2.0)
    caption = (
        "The probe's membranes, all samples, on a logarithmic axis. Dashed: the threshold; the "
        "lowest and highest if neurons differ."
    )
    return Picture(svg(figure), "Membranes against the threshold", caption)


def rates(material: Material) -> Picture:
    """Draw the firing rates of all neurons, sorted."""

    def draw(axes: Axes, p: Population) -> None:
        rate_N = np.sort(material.probe.spikes[p.name].mean((0, 1)))[::-1]
        axes.fill_between(np.arange(p.size), rate_N, color=BLUE, step="mid", linewidth=0)
        axes.set_ylim(0, 1)
        axes.set_title(f"{p.name}, mean {rate_N.mean():.1%}")

    figure = panels(material, draw, "neuron, sorted", "spikes per step", 2.0)
    return Picture(svg(figure), "Firing rates", "Share of the steps in which a neuron fires.")


def operations(cost: Cost) -> Picture:
    """Draw the operations of each layer beside those of the same layer as a dense one."""
    figure = Figure(figsize=(9, 0.6 + 0.42 * len(cost.layers)), layout="constrained")
    draw_operations(figure.subplots(), cost)
    figure.legend(loc="outside upper right", ncols=3)
    caption = (
        f"Means over {cost.samples} samples of {cost.steps} steps. Grey: the multiplications of "
        "the same layer if every value were multiplied in every step; per cent: share of them."
    )
    return Picture(svg(figure), "Operations against dense layers", caption)


def draw_operations(axes: Axes, cost: Cost) -> None:
    """Draw one row per layer: dense MACs behind, effective MACs and ACs stacked in front."""
    rows, left = np.arange(len(cost.layers)), np.zeros(len(cost.layers))
    dense = [x.dense_macs for x in cost.layers]
    axes.barh(rows, dense, height=0.7, color="#e3e6ea", label="dense")
    for name, colour, label in (
        ("effective_macs", ORANGE, "multiplications (graded inputs)"),
        ("effective_acs", BLUE, "additions (spikes)"),
    ):
        width = np.array([getattr(x, name) for x in cost.layers])
        axes.barh(rows, width, left=left, height=0.34, color=colour, label=label)
        left += width
    beside = {"textcoords": "offset points", "xytext": (4, 0), "va": "center"}
    for row, of in enumerate(dense):
        axes.annotate(f"{left[row] / of:.0%}", (of, row), **beside)
    axes.set_yticks(rows, [x.layer for x in cost.layers])
    axes.invert_yaxis()
    axes.margins(x=0.06)
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_xlabel("operations a sample")


def _neuron(report: Report, material: Material, p: Population, sample: int) -> int:
    firsts = [
        layer.first[2]
        for b in report.backends
        for *_, layers in b.groups()
        for layer in layers
        if layer.layer == p.name and layer.first is not None and layer.first[0] == sample
    ]
    if firsts:
        return firsts[0]
    rate_N = material.probe.spikes[p.name][sample].mean(0)
    return int(np.abs(rate_N - rate_N.mean()).argmin())


def _moves(p: Population) -> bool:
    """Whether the threshold current reaches all neurons with the same parameters."""
    alike = all((x == x[0]).all() for x in (p.decay, p.v_threshold))
    return alike and any(s.source == THRESHOLD for s in p.synapses)


def _limits(axes: Axes, steps: int, neurons: int) -> None:
    axes.set_xlim(-0.5, steps - 0.5)
    axes.set_ylim(-0.5, neurons - 0.5)
