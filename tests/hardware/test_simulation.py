"""`hardware.load` and `hardware.simulate`: the examples run, and mistakes are named."""

import doctest
import subprocess
import sys
from pathlib import Path

import nir
import numpy as np
import pytest

import hardware
import hardware.simulation
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware.nets import grids, random_graph, random_inputs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def network(tmp_path: Path) -> hardware.Network:
    nir.write(str(tmp_path / "graph.nir"), random_graph(np.random.default_rng(0)))
    return hardware.load(tmp_path / "graph.nir")


@pytest.fixture
def one_input(tmp_path: Path) -> hardware.Network:
    """v ← 0.5 v + w·x, w = (0.5, 0.25), spike above 1."""
    zero = np.zeros(1)
    neuron = nir.LIF(tau=zero + 2e-3, r=zero + 2, v_leak=zero, v_threshold=zero + 1)
    graph = nir.NIRGraph.from_list(nir.Linear(np.array([[0.5, 0.25]])), neuron)
    nir.write(str(tmp_path / "one.nir"), graph)
    return hardware.load(tmp_path / "one.nir", dt=1e-3)


@pytest.mark.parametrize("name", ["load", "simulate"])
def test_the_example_gives_what_it_prints(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder().find(getattr(hardware, name), name)
    assert len(example.examples) > 5
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_run_by_hand(one_input: hardware.Network):
    x = np.array([[[2, 0], [0, 0], [1, 2], [0, 1]]])
    found = hardware.simulate(one_input, {"input": x})
    # v: 1 (no spike: strict), 0.5, 0.25 + 1 → spike, 0.25
    np.testing.assert_array_equal(found.membranes["lif"].ravel(), [1, 0.5, 1.25, 0.25])
    np.testing.assert_array_equal(found.spikes["lif"].ravel(), [0, 0, 1, 0])


@pytest.mark.parametrize("backend", ["reference_float", "reference_int"])
def test_membranes_of_neurons_that_reset_elsewhere(tmp_path: Path, backend: str):
    """v ← v/2 + 3x/4 from 0; a spike above 1 sets v to -1/2."""
    zero = np.zeros(1)
    neuron = nir.LIF(zero + 2e-4, zero + 2, zero, zero + 1, v_reset=zero - 0.5)
    nir.write(
        str(tmp_path / "g.nir"), nir.NIRGraph.from_list(nir.Linear(zero[None] + 0.75), neuron)
    )
    found = hardware.simulate(hardware.load(tmp_path / "g.nir"), np.ones((1, 6, 1)), backend)
    assert found.membrane("lif")[0, :, 0].tolist() == [0.75, 1.125, 0.5, 1, 1.25, 0.5]
    assert found.spikes["lif"][0, :, 0].tolist() == [0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize("backend", ["reference_float", "reference_int"])
def test_one_input_is_given_as_an_array_or_as_a_list(one_input: hardware.Network, backend: str):
    x = np.random.default_rng(1).integers(0, 3, (2, 30, 2))
    expected = hardware.simulate(one_input, {"input": x.astype(np.float64)}, backend)
    assert 0 < expected.spikes["lif"].mean() < 1
    for given in (x, x.astype(np.uint8), x.astype(np.float32), x.tolist()):
        found = hardware.simulate(one_input, given, backend)
        np.testing.assert_array_equal(found.spikes["lif"], expected.spikes["lif"])
        np.testing.assert_array_equal(found.membranes["lif"], expected.membranes["lif"])


def test_each_reference_records_what_its_function_gives(network: hardware.Network):
    inputs = random_inputs(np.random.default_rng(2))
    expected = {
        "reference_float": reference_float(network, inputs),
        "reference_int": reference_int(quantise(network, grids()), inputs),
    }
    for backend, recording in expected.items():
        found = hardware.simulate(network, inputs, backend)  # the grids are found from the values
        for name, spikes in recording.spikes.items():
            assert 0 < spikes.mean() < 1
            np.testing.assert_array_equal(found.spikes[name], spikes)
            np.testing.assert_array_equal(found.membrane(name), recording.membrane(name))


def test_rounding_is_a_warning_that_names_the_input(network: hardware.Network):
    inputs = random_inputs(np.random.default_rng(3))
    inputs["events"] = inputs["events"] + np.float32(0.01)
    hardware.simulate(network, inputs)  # floating point rounds nothing
    with pytest.warns(UserWarning, match=r"reference_int: input 'events' rounded to multiples"):
        hardware.simulate(network, inputs, "reference_int", grids=grids())


X, B = np.ones((1, 4, 24)), np.zeros((1, 4, 1))


@pytest.mark.parametrize(
    ("inputs", "others", "message"),
    [
        (X, {}, "found one array, the graph has the inputs events, threshold_current"),
        ({"events": X}, {}, "input 'threshold_current' is missing"),
        ({"event": X}, {}, "input is 'event', expected one of .*; did you mean 'events'"),
        ({"events": X[0], "threshold_current": B}, {}, r"found shape \(4, 24\), expected \(B, S"),
        ({"events": X * np.nan, "threshold_current": B}, {}, "input 'events' holds NaN"),
        ({"events": X.astype(str), "threshold_current": B}, {}, "found <U32, expected real"),
        ({"events": X, "threshold_current": B}, {"backend": "lava"}, "backend is 'lava'"),
        ({"events": X, "threshold_current": B}, {"runtime": "fast"}, "runtime is 'fast'"),
        ({"events": X, "threshold_current": B}, {"grids": {"events": 0.3}}, "power of two"),
        ({"events": X, "threshold_current": B}, {"grids": {"x": 0.5}}, "grids: input is 'x'"),
    ],
)
def test_mistakes_are_named(network: hardware.Network, inputs, others: dict, message: str):
    with pytest.raises(UserError, match=message):
        hardware.simulate(network, inputs, **{"backend": "reference_int", **others})


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_of_no_length_is_refused(dt: float):
    with pytest.raises(UserError, match=r"dt is .*expected seconds above 0"):
        hardware.load("graph.nir", dt)


def test_importing_it_reads_no_library_and_using_it_no_torch(tmp_path: Path):
    nir.write(str(tmp_path / "graph.nir"), random_graph(np.random.default_rng(0)))
    code = (
        "import sys, hardware\n"
        "assert not {'numpy', 'nir', 'torch'} & set(sys.modules), 'import hardware is not light'\n"
        f"network = hardware.load({str(tmp_path / 'graph.nir')!r})\n"
        "assert set(network.inputs) == {'events', 'threshold_current'}\n"
        "assert not {'torch', 'lava'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
