"""What the figures of a report draw."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from matplotlib.figure import Figure

from hardware.graph.network import Reset
from hardware.report import ReportConfig, build
from hardware.reporting.figures import draw_operations, thresholds, traces_of
from tests.hardware.nets import lif, random_graph
from tests.hardware.reporting.test_report import NEURONS, export


def changed(folder: Path, neurons: nir.LIF) -> tuple[Path, Path]:
    graph = random_graph(np.random.default_rng(1), layers=1)
    graph.nodes["lif_1"] = neurons
    return export(folder, graph=graph)


@pytest.mark.parametrize("reset", ["to-value", "subtract"])
@pytest.mark.parametrize("v_reset", [0.0, -0.25])
def test_membranes_are_drawn_in_units_of_the_graph(tmp_path: Path, v_reset: float, reset: Reset):
    files = changed(tmp_path, lif(NEURONS, v_reset=v_reset))
    if reset == "subtract":  # of the probe's spikes, which reset to v_reset
        with np.load(files[1]) as probe:
            inputs = {k: v for k, v in probe.items() if ".in." in k or ".grid." in k}
        np.savez(files[1], **inputs)
    _, material = build(ReportConfig(*files, reset=reset))
    (one, floats), (other, integers) = traces_of(material)
    assert (one, other) == ("reference_float", "reference_int")
    assert material.probe.spikes["lif_1"].mean() > 0.02
    np.testing.assert_allclose(integers["lif_1"], floats["lif_1"], atol=1e-3)


def test_one_threshold_is_drawn_only_where_there_is_one(tmp_path: Path):
    report, material = build(ReportConfig(*changed(tmp_path, lif(NEURONS))))
    assert thresholds(report, material) is not None
    neurons = lif(NEURONS)
    neurons.v_threshold[::2] = 2.0
    files = changed(tmp_path, neurons)
    report, material = build(ReportConfig(*files, backends=("reference_float",)))
    assert thresholds(report, material) is None


def test_bars_of_operations_are_the_counts_of_the_cost(tmp_path: Path):
    report, _ = build(ReportConfig(*changed(tmp_path, lif(NEURONS))))
    axes, layers = Figure().subplots(), report.cost.layers
    draw_operations(axes, report.cost)
    dense, macs, acs = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert dense == [x.dense_macs for x in layers] and min(dense) > 0
    assert macs == [x.effective_macs for x in layers] and sum(macs) > 0
    assert acs == [x.effective_acs for x in layers]
    starts = [bar.get_x() for bar in axes.containers[2]]
    assert starts == macs  # one after the other
    shares = [f"{(m + a) / d:.0%}" for d, m, a in zip(dense, macs, acs, strict=True)]
    assert [text.get_text() for text in axes.texts] == shares
