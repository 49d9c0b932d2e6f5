"""What the figures of a report draw."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.report import ReportConfig, build
from hardware.report_figures import thresholds, traces_of
from tests.hardware.nets import lif, random_graph
from tests.hardware.test_report import NEURONS, export


def changed(folder: Path, neurons: nir.LIF) -> tuple[Path, Path]:
    graph = random_graph(np.random.default_rng(1), layers=1)
    graph.nodes["lif_1"] = neurons
    return export(folder, graph=graph)


@pytest.mark.parametrize("v_reset", [0.0, -0.25])
def test_membranes_are_drawn_in_units_of_the_graph(tmp_path: Path, v_reset: float):
    files = changed(tmp_path, lif(NEURONS, v_reset=v_reset))
    _, material = build(ReportConfig(*files))
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
