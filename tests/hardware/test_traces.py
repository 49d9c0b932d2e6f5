"""Trace files, read back by csv and NumPy alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hardware.fixed_point.quantise import input_grids, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower, read_network
from hardware.graph.network import Recording
from hardware.reference_float import reference_float
from hardware.run import main
from hardware.traces import write_traces
from tests.hardware.nets import random_graph, random_inputs, write_probe


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    graph, probe = tmp_path / "motion_visual.nir", tmp_path / "probe.npz"
    net = random_graph(rng, layers=2)
    nir.write(graph, net)
    inputs = random_inputs(rng)
    write_probe(probe, "visual", inputs, reference_float(lower(net), inputs))
    return str(graph), str(probe)


def spikes_of(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A raster for each layer, by a plain loop over the lines."""
    rasters = {name: np.zeros(shape, int) for name, shape in shapes.items()}
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    order = [(int(x["sample"]), int(x["step"])) for x in lines]
    assert order == sorted(order)
    for line in lines:
        rasters[line["layer"]][int(line["sample"]), int(line["step"]), int(line["neuron"])] += 1
    return rasters


@pytest.mark.parametrize("backend", ["reference_float", "reference_int"])
def test_npz_and_csv_say_what_the_backend_did(files, tmp_path, backend: str):
    traces = tmp_path / "traces"
    assert main([*files, "--backend", backend, "--traces", str(traces)]) == 0
    stem = f"traces_{backend}_visual"
    assert sorted(p.name for p in traces.iterdir()) == [f"{stem}.csv", f"{stem}.npz"]
    network = read_network(files[0])
    with np.load(files[1]) as probe:
        inputs = {n: probe[f"visual.in.{n}"] for n in network.inputs}
    expected = reference_float(network, inputs)
    if backend == "reference_int":
        expected = reference_int(quantise(network, input_grids(inputs)), inputs)
    with np.load(traces / f"{stem}.npz", allow_pickle=False) as file:
        assert len(file.files) == 4 * 2
        for name in ("lif_1", "lif_2"):
            np.testing.assert_array_equal(file[f"spikes.{name}"], expected.spikes[name])
            # In the graph's units both backends agree: this graph lies on the grid.
            membrane = file[f"membrane.{name}"] * file[f"unit.{name}"]
            np.testing.assert_array_equal(membrane, expected.membrane(name))
            np.testing.assert_array_equal(file[f"offset.{name}"], np.zeros(32))
            assert np.abs(membrane).max() > 0.5  # the threshold is 1
    shapes = {name: x.shape for name, x in expected.spikes.items()}
    for name, raster in spikes_of(traces / f"{stem}.csv", shapes).items():
        np.testing.assert_array_equal(raster, expected.spikes[name])


def test_order_of_the_lines(tmp_path):
    spikes = {"b": np.zeros((2, 2, 3), np.uint8), "a": np.zeros((2, 2, 1), np.uint8)}
    spikes["b"][1, 0, 2] = spikes["b"][0, 1, 1] = spikes["b"][0, 1, 0] = 1
    spikes["a"][0, 1, 0] = 1
    (_, file) = write_traces(Recording(spikes, {}, {}, {}), tmp_path, "netx", "audio")
    assert file.read_text().splitlines() == [
        "sample,step,layer,neuron",
        "0,1,b,0",
        "0,1,b,1",
        "0,1,a,0",
        "1,0,b,2",
    ]
    silent = {"a": np.zeros((1, 1, 1), np.uint8)}
    (_, file) = write_traces(Recording(silent, {}, {}, {}), tmp_path, "netx", "audio")
    assert file.read_text() == "sample,step,layer,neuron\n"


@pytest.mark.parametrize("folder", ["probe.npz", "no/traces"])
def test_a_folder_that_cannot_be_is_refused_before_the_work(files, tmp_path, capsys, folder: str):
    words = [*files, "--backend", "reference_int", "--traces", str(tmp_path / folder)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--traces is" in error and folder in error


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("hardware.result.os.replace", full)
    spikes = {"a": np.ones((1, 1, 1), np.uint8)}
    with pytest.raises(OSError, match="disk full"):
        write_traces(Recording(spikes, {}, {}, {}), tmp_path, "netx", "audio")
    assert list(tmp_path.iterdir()) == []


def test_traces_of_neurons_that_reset_elsewhere(tmp_path):
    """membrane·unit + offset is v of the other backend: v_reset differs from neuron to neuron."""
    reset, one = np.array([-0.5, 0.25]), np.ones(2)
    lif = nir.LIF(2e-4 * one, 2 * one, 0 * one, one, v_reset=reset)
    nir.write(tmp_path / "g.nir", nir.NIRGraph.from_list(nir.Linear(0.75 * np.eye(2)), lif))
    inputs: dict[str, Any] = {"g.in.input": np.ones((1, 9, 2))}
    np.savez(tmp_path / "p.npz", **inputs)
    v = {}
    for backend in ("reference_float", "reference_int"):
        words = [str(tmp_path / name) for name in ("g.nir", "p.npz")]
        assert main([*words, "--backend", backend, "--traces", str(tmp_path)]) == 0
        with np.load(tmp_path / f"traces_{backend}_g.npz") as file:
            v[backend] = file["membrane.lif"] * file["unit.lif"] + file["offset.lif"]
            offset = file["offset.lif"].tolist()
    assert offset == reset.tolist()
    np.testing.assert_array_equal(v["reference_int"], v["reference_float"])


def test_traces_and_json_of_one_name_are_refused(files, tmp_path, capsys):
    words = [*files, "--backend", "reference_int"]
    both = ["--traces", str(tmp_path / "one"), "--json", str(tmp_path / "one")]
    assert main([*words, *both]) == 2
    assert "which is also --json" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()
