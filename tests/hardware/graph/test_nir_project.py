"""The graphs that the NIR project ships (paper/) and tests with (tests/), built by nir's own API.

Those are its repository's tests/test_readwrite.py, test_ir.py and test_architectures.py of 2025,
and the graphs of the paper's three experiments, with weights of our own.
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.graph.graph import read_network
from hardware.graph.node_types import REFUSED, SUPPORTED, markdown
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware import plain_nir

pytestmark = pytest.mark.rounding

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(0)
THREE = np.array([1, 1, 1])


def affine(inputs: int, outputs: int) -> nir.Affine:
    return nir.Affine(RNG.normal(size=(outputs, inputs)), RNG.normal(size=outputs))


def lif(taus: list[int], thresholds: list[int]) -> nir.LIF:
    n = len(taus)
    return nir.LIF(np.array(taus), np.ones(n, int), np.zeros(n, int), np.array(thresholds))


def chain(*nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph.from_list(*nodes)


def residual() -> nir.NIRGraph:
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "a": affine(2, 3),
        "b": lif([10, 20, 30], [1, 2, 3]),
        "c": affine(3, 2),
        "d": lif([10, 20], [1, 2]),
        "e": affine(2, 3),
        "f": lif([15, 5, 5], [1, 1, 1]),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]
    return nir.NIRGraph(nodes, [*edges, ("a", "f"), ("e", "f"), ("f", "output")])


def merging() -> nir.NIRGraph:
    """Two branches from two inputs into one population."""
    nodes = {
        "in_1": nir.Input({"input": np.array([2])}),
        "in_2": nir.Input({"input": np.array([3])}),
        "a": affine(2, 3),
        "b": lif([10, 20, 30], [1, 2, 3]),
        "c": affine(3, 2),
        "e": affine(3, 2),
        "f": lif([10, 20], [1, 2]),
        "h": lif([5, 2], [1, 1]),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("in_1", "a"), ("a", "b"), ("b", "c"), ("c", "h")]
    return nir.NIRGraph(nodes, [*edges, ("in_2", "e"), ("e", "f"), ("f", "h"), ("h", "output")])


def cuba(n: int) -> nir.CubaLIF:
    def one(x: float) -> np.ndarray:
        return np.full(n, x)

    return nir.CubaLIF(one(4e-4), one(2e-4), one(4), one(0), one(1), one(0), one(2))


def braille(recurrent: bool) -> nir.NIRGraph:
    """paper/03_rnn: Affine, CubaLIF with a recurrent Affine, Affine, CubaLIF."""
    nodes = {
        "input": nir.Input({"input": np.array([12])}),
        "fc1": affine(12, 38),
        "lif1.lif": cuba(38),
        "fc2": affine(38, 7),
        "lif2": cuba(7),
        "output": nir.Output({"output": np.array([7])}),
    }
    edges = [("input", "fc1"), ("fc1", "lif1.lif"), ("lif1.lif", "fc2"), ("fc2", "lif2")]
    edges.append(("lif2", "output"))
    if recurrent:
        nodes["lif1.w_rec"] = affine(38, 38)
        edges += [("lif1.lif", "lif1.w_rec"), ("lif1.w_rec", "lif1.lif")]
    return nir.NIRGraph(nodes, edges)


def cnn() -> nir.NIRGraph:
    """paper/02_cnn, its first stage: Conv2d, IF, SumPool2d, Flatten, Linear, IF."""
    conv = nir.Conv2d((10, 10), RNG.normal(size=(4, 2, 5, 5)), 2, 1, 1, 1, np.zeros(4))
    return chain(
        nir.Input({"input": np.array([2, 10, 10])}),
        conv,
        nir.IF(np.ones((4, 4, 4)), np.ones((4, 4, 4))),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([4, 2, 2])}, 0, -1),
        nir.Linear(RNG.normal(size=(10, 16))),
        nir.IF(np.ones(10), np.ones(10)),
    )


def nested() -> nir.NIRGraph:
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "inner": chain(nir.I(THREE)),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "inner"), ("inner", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def one_lif() -> nir.NIRGraph:
    """paper/01_lif: one neuron, τ 2.5 ms, threshold 0.1, dt 0.1 ms."""
    neuron = nir.LIF(*(np.array([x]) for x in (2.5e-3, 1.0, 0.0, 0.1)))
    return chain(nir.Affine(np.ones((1, 1)), np.zeros(1)), neuron)


READ = {
    "paper 01 LIF": (one_lif(), 1e-4),
    "paper 03 without recurrence": (braille(False), 1e-4),
    "integrator": (chain(affine(2, 3), nir.I(THREE)), 1.0),
    "integrate and fire": (chain(affine(2, 3), nir.IF(THREE, THREE)), 1.0),
    "leaky integrator": (chain(affine(2, 3), nir.LI(THREE, THREE, THREE)), 1.0),
    "LIF": (chain(affine(2, 3), nir.LIF(THREE, THREE, THREE, 3 * THREE)), 0.5),
    "CubaLIF": (chain(affine(2, 3), nir.CubaLIF(THREE, 2 * THREE, THREE, THREE, 3 * THREE)), 1.0),
    "scale": (chain(nir.Input({"input": np.array([3])}), nir.Scale(np.array([1, 2, 3]))), 1.0),
    "affine": (chain(nir.Input({"input": np.array([3])}), affine(3, 3)), 1.0),
    "threshold": (
        chain(nir.Input({"input": np.array([3])}), nir.Threshold(np.array([1, 2, 3]))),
        1.0,
    ),
    "flatten": (
        chain(
            nir.Input({"input": np.array([4, 5, 2])}),
            nir.Flatten({"input": np.array([4, 5, 2])}, 0, 1),
        ),
        1.0,
    ),
    "residual": (residual(), 1.0),
    "branches that merge": (merging(), 1.0),
    "nested": (nested(), 1.0),
    "paper 02 CNN": (cnn(), 1.0),
    "paper 03 braille": (braille(True), 1e-4),
    "delay": (chain(nir.Input({"input": np.array([3])}), nir.Delay(THREE)), 1.0),
    "sequential": (chain(affine(2, 3), nir.Delay(np.ones(3)), affine(3, 2)), 1.0),
    "eight matrices": (chain(*(affine(*s) for s in 4 * ((2, 3), (3, 2)))), 1.0),
}
NOT_READ = {
    "integer weights": (chain(nir.Linear(np.array([[3, 1], [1, 2]]))), "linear.weight is int64"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_runs_as_nir_says(tmp_path: Path, name: str):
    graph, dt = READ[name]
    nir.write(tmp_path / "g.nir", graph)
    network = read_network(tmp_path / "g.nir", dt)
    # Drawn here, so that they depend on no other test. For seeds 0 to 19 no membrane comes nearer
    # to its threshold than 1e-4.
    rng = np.random.default_rng(0)
    inputs = {n: rng.normal(1, 1, (2, 6, width)) for n, width in network.inputs.items()}
    late = [e for e in graph.edges if e == ("lif1.w_rec", "lif1.lif")]
    values, _ = plain_nir.run(graph, inputs, dt, late)
    found = reference_float(network, inputs)
    for output, carrier in network.outputs.items():
        carried = found.spikes.get(carrier, found.membranes[carrier])
        np.testing.assert_allclose(carried, values[output], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_not_read_says_why(tmp_path: Path, name: str):
    graph, words = NOT_READ[name]
    nir.write(tmp_path / "g.nir", graph)
    with pytest.raises(UserError) as caught:
        read_network(tmp_path / "g.nir")
    assert words in str(caught.value)


def test_every_node_type_of_nir_is_in_the_table():
    known = {n for n, t in vars(nir).items() if isinstance(t, type) and issubclass(t, nir.NIRNode)}
    assert known - {"NIRNode"} == set(SUPPORTED) | set(REFUSED) | {"NIRGraph"}
    # And no graph of the project's uses a type that is neither read nor refused.
    graphs = [g for g, _ in (*READ.values(), *NOT_READ.values())]
    used = {type(n).__name__ for g in graphs for n in g.nodes.values()}
    assert used <= known


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_fields_are_nirs(name: str):
    """What nir.write writes for a node of the type is what the reader admits."""
    made = {
        "Input": nir.Input({"input": THREE}),
        "Output": nir.Output({"output": THREE}),
        "Flatten": nir.Flatten({"input": THREE}, 0, -1),
        "Linear": nir.Linear(np.ones((3, 3))),
        "Affine": nir.Affine(np.ones((3, 3)), np.ones(3)),
    }
    kind = getattr(nir, name)
    fields = SUPPORTED[name].fields
    made["Conv1d"] = nir.Conv1d(3, np.ones((1, 1, 2)), 1, 0, 1, 1, np.ones(1))
    made["Conv2d"] = nir.Conv2d((3, 3), np.ones((1, 1, 2, 2)), 1, 0, 1, 1, np.ones(1))
    node = made.get(name) or kind(**{f: np.ones(3) for f in fields})
    assert set(node.to_dict()) - {"type", "metadata"} == set(fields)


def test_the_page_is_the_table():
    found = (ROOT / "docs" / "nodes.md").read_text()
    assert found == markdown(), "run python -m hardware.graph.node_types"
