"""The export of a network for recordings whose threshold moves: two inputs, exact everywhere."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from export import recordings
from export.recordings import export_recordings, lines
from hardware.backends import BACKENDS
from hardware.pair import Pair, read_pair
from hardware.parity import compared
from mdft.config.recordings import RecognitionConfig, RecordingsConfig
from mdft.errors import UserError
from mdft.recognition.figure import draw
from mdft.recognition.network import SpikingGraph
from mdft.recognition.run import load, run
from mdft.recognition.threshold import CURRENT
from tests.hardware.nets import hidden_out
from tests.mdft.recognition.small import write_nmnist

LAYERS = {"dense": "12-C", "convolutional": "4c5s4-p2-C"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nmnist(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def exported(root: Path) -> dict[str, recordings.Tested]:
    """Runs of both kinds in folders of their names, exported there, with three samples."""
    data = RecordingsConfig(root=root, bins=6, bin_ms=60, cache=root / "cache")
    found = {}
    for name, layers in LAYERS.items():
        config = RecognitionConfig(
            "NMNIST", data, layers=layers, threshold="moving", epochs=6, batch_size=2
        )
        run(config, root / name)
        found[name] = export_recordings(root / name, root / name, samples=3)
    return found


def test_fewer_recordings_than_the_default_are_all_in_the_probe(root: Path, exported):
    export_recordings(root / "dense", root / "again")
    (inputs, *_) = pair_of(root, "again").probe.inputs.values()
    assert len(inputs) == 8
    with pytest.raises(UserError, match="--samples is 9, expected 1 to 8 test recordings"):
        export_recordings(root / "dense", root / "again", samples=9)


def pair_of(root: Path, name: str) -> Pair:
    return read_pair(root / name / "motion.nir", root / name / "probe.npz")


@pytest.mark.parametrize("name", LAYERS)
def test_the_reference_has_the_spikes_and_counts_of_pytorch(
    exported: dict[str, recordings.Tested], name: str
):
    tested = exported[name]
    assert tested.backend == "reference_int" and not tested.failed
    assert sum(layer.compared * layer.rate for layer in tested.layers) > 10
    assert (tested.recordings, tested.differing) == (8, 0)
    assert tested.exported == tested.trained == 1.0
    assert "0 of them with other spike counts" in lines(tested)[1]
    # Six steps of one number to each neuron, each multiplied by a weight of 1.
    sent = next(t for t in tested.cost.traffic if t.source == CURRENT)
    assert sent.channels == 1 and sent.layers == 2


@pytest.mark.parametrize("name", LAYERS)
def test_the_probe_and_the_manifest_describe_the_second_input(
    root: Path, exported: dict[str, recordings.Tested], name: str
):
    """b follows from the events by the manifest's equations, in plain Python."""
    pair = pair_of(root, name)
    about = json.loads((root / name / "manifest.json").read_text())["threshold_input"]
    assert about["name"] == CURRENT and pair.grids[CURRENT] == about["grid"] == 2.0**-6
    given, events = pair.probe.inputs[CURRENT], pair.probe.inputs["input"]
    assert given.shape == (3, 6, 1) and len(np.unique(given)) > 6
    for sample in range(3):
        delta, grid = 0.0, about["grid"]
        for t in range(6):
            counts = events[sample, t].tolist()
            total = sum(counts)
            phi = 1 / (1 + math.exp(-total / len(counts)))
            omega = sum(n / total * math.log(total / n + n) for n in counts if n)
            factor = phi + omega / math.log(len(counts))
            theta = min(max(factor * about["theta_0"], about["theta_min"]), about["theta_max"])
            leaked = about["beta"] * delta
            b = round((leaked - (theta - about["theta_0"])) / grid) * grid
            assert given[sample, t, 0] == b
            delta = leaked - b


@pytest.mark.lava
@pytest.mark.parametrize("name", LAYERS)
def test_lava_has_the_same_spikes_and_membranes(
    root: Path, exported: dict[str, recordings.Tested], name: str
):
    pair = pair_of(root, name)
    found = compared(BACKENDS["lava_fixed"], pair.network, pair.probe, pair.grids, "inline")
    assert set(found.must) == {"probe", "reference_int"}
    for layers in found.must.values():
        assert [layer.differing for layer in layers] == [0, 0]
    assert [layer.membranes_differing for layer in found.must["reference_int"]] == [0, 0]


def test_float_arithmetic_is_exact_in_the_float_reference(root: Path):
    data = RecordingsConfig(root=root, bins=6, bin_ms=60, cache=root / "cache")
    config = RecognitionConfig(
        "NMNIST", data, layers="8-C", threshold="moving", epochs=1, arithmetic="float"
    )
    run(config, root / "float")
    tested = export_recordings(root / "float", root / "float", samples=2)
    assert tested.backend == "reference_float" and not tested.failed


def test_the_figure_shows_the_moving_threshold(root: Path, exported: dict[str, recordings.Tested]):
    trained = load(root / "dense")
    pair = pair_of(root, "dense")
    counts_SX = pair.probe.inputs["input"][0].reshape(6, 2, 34, 34).astype(np.uint8)
    figure = draw(trained.network, counts_SX, trained.classes, 0, 60)
    (axes,) = (a for a in figure.axes if "membrane" in a.get_ylabel())
    (line,) = (x for x in axes.lines if x.get_linestyle() == "--")
    given, delta, expected = pair.probe.inputs[CURRENT][0, :, 0], 0.0, []
    for b in given:  # θ = θ0 + δ, from b = β δ(t − 1) − δ(t)
        delta = 0.9375 * delta - float(b)
        expected.append(1 + delta)
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected, rtol=1e-4)


def test_the_figure_says_whether_the_answer_is_correct():
    """A class may be called right."""
    network, counts = SpikingGraph(hidden_out()), np.zeros((6, 1, 1, 2), np.uint8)
    counts[..., 1] = 10  # fires the neuron of the second class
    for label, said in ((1, "left (correct)"), (0, "left (wrong, it is right)")):
        figure = draw(network, counts, ["right", "left"], label, 10)
        assert figure.get_suptitle() == f"answer: {said}"


def test_a_hidden_layer_called_out_keeps_its_spikes():
    network = SpikingGraph(hidden_out())
    arrays = recordings.probe_arrays(network, np.ones((1, 6, 2)))
    spikes = {name: arrays[f"motion.{name}"] for name in ("spikes.out", "spikes.last", "out.o")}
    assert spikes["spikes.out"][0, :, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert spikes["spikes.last"][0, :, 0].tolist() == [0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(spikes["out.o"], spikes["spikes.last"])
