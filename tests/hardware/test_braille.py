"""The recurrent network of the NIR paper's Braille task, and graphs of its form made here.

Affine, CubaLIF with a recurrent Affine, Affine, CubaLIF; in the paper's second graph a spike
subtracts the threshold. Compared with loops written here and with snnTorch's recurrent layers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from hardware import simulate
from hardware.graph.graph import lower
from hardware.graph.network import Recording
from hardware.reference_float import reference_float

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import snntorch as snn
    from snntorch.import_nir import _nir_to_snntorch_module, _replace_rnn_subgraph_with_nirgraph

DT, STEPS = 1e-4, 60
PAPER = {False: "braille_noDelay_bias_zero.nir", True: "braille_noDelay_noBias_subtract.nir"}

# snnTorch computes with float32 constants: a spike within 1e-6 of its threshold could differ from
# ours. No membrane of these graphs and inputs comes nearer than 1e-4.
pytestmark = pytest.mark.rounding


def cuba(size: int, kept: float, leak: float) -> nir.CubaLIF:
    """u ← kept·u + I, v ← leak·v + u, threshold 1: what snnTorch exports."""
    one = np.ones(size)
    tau_syn, tau_mem = DT / (1 - kept) * one, DT / (1 - leak) * one
    return nir.CubaLIF(tau_syn, tau_mem, tau_mem / DT, 0 * one, one, 0 * one, tau_syn / DT)


def made_here(neurons: Callable[[int, float, float], nir.NIRNode] = cuba) -> nir.NIRGraph:
    rng = np.random.default_rng(8)

    def affine(width: int, size: int, spread: float) -> nir.Affine:
        weight = rng.normal(0.1, spread, (size, width)) / np.sqrt(width)
        return nir.Affine(weight.astype(np.float32), rng.normal(0, 0.1, size).astype(np.float32))

    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc1": affine(6, 20, 2),
        "lif1.lif": neurons(20, 0.55, 0.9),
        "lif1.w_rec": affine(20, 20, 3),
        "fc2": affine(20, 4, 2),
        "lif2": neurons(4, 0.5, 0.55),
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [
        ("input", "fc1"), ("fc1", "lif1.lif"), ("lif1.lif", "lif1.w_rec"), ("fc2", "lif2"),
        ("lif1.w_rec", "lif1.lif"), ("lif1.lif", "fc2"), ("lif2", "output"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges)


def spikes_in(graph: nir.NIRGraph, rate: float) -> np.ndarray:
    """Random spikes (3, S, width)."""
    width = int(graph.nodes["input"].input_type["input"][0])
    return (np.random.default_rng(0).random((3, STEPS, width)) < rate).astype(float)


GRAPHS = [
    pytest.param(where, subtracts, id=f"{where}-{'subtract' if subtracts else 'zero'}")
    for where in ("here", "paper")
    for subtracts in (False, True)
]


@pytest.fixture
def graph(where: str, subtracts: bool, request: pytest.FixtureRequest) -> nir.NIRGraph:
    if where == "here":
        return made_here()
    folder: Path = request.getfixturevalue("shared_data")
    return nir.read(folder / "nir_paper" / PAPER[subtracts])


def inputs_of(where: str, graph: nir.NIRGraph) -> np.ndarray:
    """At these rates about 2 % (paper) and 20 % (here) of the first layer's neuron-steps spike."""
    return spikes_in(graph, 0.03 if where == "paper" else 0.3)


def loop(
    graph: nir.NIRGraph, x_BSM: np.ndarray, subtracts: bool, snntorch: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Spikes and membranes before the reset, by layer, of NIR's equations.

    With `snntorch`, two things are as there: RSynaptic resets a step late (not v but its next
    value is set to 0, or loses the threshold); and a v that is above the threshold after
    Synaptic's subtraction loses the threshold again before the next comparison.
    """
    n: dict[str, Any] = graph.nodes

    def kept(tau: np.ndarray) -> np.ndarray:
        return 1 - DT / np.asarray(tau, float)

    def affine(name: str, x: np.ndarray) -> np.ndarray:
        node = n[name]
        return node.weight.astype(float) @ x + getattr(node, "bias", np.zeros(len(node.weight)))

    spikes: dict[str, list] = {"lif1.lif": [], "lif2": []}
    membranes: dict[str, list] = {"lif1.lif": [], "lif2": []}
    for x_SM in x_BSM:
        u, v, z = ({name: np.zeros(n[name].r.shape) for name in spikes} for _ in range(3))
        for x in x_SM:
            current = {"lif1.lif": affine("fc1", x) + affine("lif1.w_rec", z["lif1.lif"])}
            for name in ("lif1.lif", "lif2"):
                if name == "lif2":
                    current["lif2"] = affine("fc2", z["lif1.lif"])
                u[name] = kept(n[name].tau_syn) * u[name] + current[name]
                again = (v[name] > 1.0) * snntorch
                new = kept(n[name].tau_mem) * v[name] + u[name]
                new = new - again * (1.0 if subtracts else new)
                z[name] = (new > 1.0).astype(float)
                spikes[name].append(z[name])
                membranes[name].append(new)
                if not (snntorch and name == "lif1.lif"):
                    new = new - (z[name] - again) * (1.0 if subtracts else new)
                v[name] = new
    shape = (*x_BSM.shape[:2], -1)
    return tuple({k: np.reshape(a, shape) for k, a in d.items()} for d in (spikes, membranes))  # type: ignore[return-value]


@pytest.mark.parametrize(("where", "subtracts"), GRAPHS)
def test_the_reference_gives_the_spikes_of_a_loop(where: str, subtracts: bool, graph: nir.NIRGraph):
    x = inputs_of(where, graph)
    network = lower(graph, DT, "subtract" if subtracts else "to-value")
    found = reference_float(network, {"input": x})
    spikes, membranes = loop(graph, x, subtracts)
    assert 0.005 < spikes["lif1.lif"].mean() < 0.7 and 0.02 < spikes["lif2"].mean() < 0.9
    for name, expected in spikes.items():
        assert np.abs(membranes[name] - 1).min() > 1e-4
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
        np.testing.assert_allclose(found.membranes[name], membranes[name], rtol=0, atol=1e-5)


def snntorch_layers(graph: nir.NIRGraph, subtracts: bool) -> dict[str, Any]:
    """What snnTorch's importer makes of each node, in float64.

    Its import_from_nir puts them together through nirtorch, which fails on this graph
    (snnTorch 1.0.0, nirtorch 2.6): the test steps them by hand. It knows reset to zero only.
    """
    parts = _replace_rnn_subgraph_with_nirgraph(graph).nodes
    layers = {name: _nir_to_snntorch_module(parts[name]) for name in ("fc1", "lif1", "fc2", "lif2")}
    if subtracts:
        features: dict[str, Any] = {"linear_features": layers["fc1"].out_features}
        kinds: Any = (("lif1", snn.RSynaptic, features), ("lif2", snn.Synaptic, {}))
        for name, kind, more in kinds:
            old: Any = layers[name]
            layers[name] = kind(
                old.alpha, old.beta, threshold=old.threshold, reset_delay=False, **more
            )
            if more:
                layers[name].recurrent = old.recurrent
    return {name: layer.double() for name, layer in layers.items()}


def snntorch_run(layers: dict[str, Any], x_BSM: np.ndarray) -> Recording:
    """Spikes of both layers, and what it keeps as the recurrent layer's membrane."""
    size = [layers[name].out_features for name in ("fc1", "fc2")]
    zero = [torch.zeros(len(x_BSM), n, dtype=torch.float64) for n in size]
    z1, u1, v1, u2, v2 = zero[0], zero[0], zero[0], zero[1], zero[1]
    one, two, kept = [], [], []
    with torch.no_grad():
        for x in torch.from_numpy(x_BSM).unbind(1):
            z1, u1, v1 = layers["lif1"](layers["fc1"](x), z1, u1, v1)
            z1 = z1.double()
            z2, u2, v2 = layers["lif2"](layers["fc2"](z1), u2, v2)
            for found, value in ((one, z1), (two, z2), (kept, v1)):
                found.append(value.numpy())
    spikes = {"lif1.lif": np.stack(one, 1), "lif2": np.stack(two, 1)}
    return Recording(spikes, {"lif1.lif": np.stack(kept, 1)}, {}, {})


@pytest.mark.parametrize(("where", "subtracts"), GRAPHS)
def test_snntorchs_rsynaptic_resets_a_step_late(where: str, subtracts: bool, graph: nir.NIRGraph):
    """Its forward resets a local variable that it drops, whatever reset_delay is.

    Equal until the first spike; then the neuron that spiked keeps its membrane one step longer.
    With the changes of `loop` all of its spikes are explained, those of the second layer too.
    """
    x = inputs_of(where, graph)
    ours, before_reset = loop(graph, x, subtracts)
    theirs_too, _ = loop(graph, x, subtracts, snntorch=True)
    found = snntorch_run(snntorch_layers(graph, subtracts), x)
    for name, expected in theirs_too.items():
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
    assert (found.spikes["lif1.lif"] != ours["lif1.lif"]).any()
    for b in range(len(x)):
        first = int(np.flatnonzero(ours["lif1.lif"][b].any(1))[0])
        spiked = ours["lif1.lif"][b, first] == 1
        theirs, expected = found.membranes["lif1.lif"][b], before_reset["lif1.lif"][b]
        np.testing.assert_allclose(theirs[: first + 1], expected[: first + 1], rtol=0, atol=1e-5)
        apart = np.abs(theirs[first + 1] - expected[first + 1]) > 1e-4
        np.testing.assert_array_equal(apart, spiked)
        if not subtracts:
            assert (theirs[first + 1][spiked] == 0).all()


def test_snntorchs_rleaky_gives_our_spikes():
    """Recurrent LIF neurons: RLeaky resets at once."""

    def leaky(size: int, kept: float, leak: float) -> nir.LIF:
        tau = DT / (1 - leak) * np.ones(size)
        return nir.LIF(tau, tau / DT, 0 * tau, np.ones(size))

    graph = made_here(leaky)
    x = spikes_in(graph, 0.3)
    found = reference_float(lower(graph, DT), {"input": x})
    assert 0.05 < found.spikes["lif1.lif"].mean() < 0.6
    assert min(np.abs(v - 1).min() for v in found.membranes.values()) > 1e-5
    parts = _replace_rnn_subgraph_with_nirgraph(graph).nodes
    layer: Any = _nir_to_snntorch_module(parts["lif1"])
    layer, before = layer.double(), _nir_to_snntorch_module(parts["fc1"]).double()
    z = v = torch.zeros(3, 20, dtype=torch.float64)
    with torch.no_grad():
        for t in range(STEPS):
            z, v = layer(before(torch.from_numpy(x[:, t])), z.double(), v)
            np.testing.assert_array_equal(found.spikes["lif1.lif"][:, t], z.numpy(), err_msg=str(t))


@pytest.mark.lava
@pytest.mark.parametrize("where", ["here", "paper"])
def test_lava_gives_the_spikes_of_the_references(where: str, graph: nir.NIRGraph, subtracts: bool):
    x, network = {"input": inputs_of(where, graph)[:2]}, lower(graph, DT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # weights are rounded to 8 bits
        for lava, reference in (("lava_float", "reference_float"), ("lava_fixed", "reference_int")):
            found, expected = simulate(network, x, lava), simulate(network, x, reference)
            for name, spikes in expected.spikes.items():
                assert spikes.any()
                np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=f"{lava} {name}")


@pytest.fixture
def subtracts() -> bool:
    return False
