"""Convolutions, poolings and Flatten as Sinabs imports them; skipped where Sinabs is absent.

Its IAF differs from NIR's IF: it fires at v ≥ threshold, as many spikes at once as v holds
thresholds, subtracts them, and keeps v above −threshold. A loop of that rule, fed with the currents
of our matrices, gives all of its spikes: so the connections are the same, and the first difference
of the spikes is that of the rule.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from hardware.graph.graph import lower
from hardware.graph.matrices import dense
from hardware.reference_float import reference_float

SINABS = "sinabs is absent: uv pip install --no-deps sinabs pbr"
STEPS = 20

pytestmark = pytest.mark.rounding


def made_here() -> nir.NIRGraph:
    """Strides, paddings, dilations and groups of both axes that differ; weights on a grid."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray:
        return (np.round(rng.normal(2, 8, shape)) / 32).astype(np.float32)

    def spikes(*shape: int) -> nir.IF:
        return nir.IF(np.ones(shape, np.float32), np.ones(shape, np.float32))

    two = np.array([2, 2])
    nodes = {
        "input": nir.Input({"input": np.array([4, 11, 9])}),
        "c1": nir.Conv2d((11, 9), weights(6, 2, 3, 2), (2, 1), (1, 0), (1, 2), 2, weights(6)),
        "n1": spikes(6, 6, 7),
        "c2": nir.Conv2d((6, 7), weights(4, 6, 2, 3), 1, "same", 1, 1, weights(4)),
        "n2": spikes(4, 6, 7),
        "pool": nir.SumPool2d(two, two, np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1),
        "w": nir.Affine(weights(5, 36), weights(5)),
        "n3": spikes(5),
        "output": nir.Output({"output": np.array([5])}),
    }
    return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)


def sinabs_spikes(graph: nir.NIRGraph, x: np.ndarray) -> dict[str, np.ndarray]:
    """What each of its spiking layers sends, (S, N)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sinabs.nir import from_nir  # type: ignore[import-not-found]

        module = from_nir(graph, batch_size=1)
        found: dict[str, np.ndarray] = {}

        def keep(name: str) -> Any:
            return lambda _module, _given, sent: found.update({name: sent.numpy()})

        for name, layer in module.named_children():
            if type(layer).__name__ == "IAFSqueeze":
                layer.register_forward_hook(keep(name))
        with torch.no_grad():
            module(torch.from_numpy(x.astype(np.float32)))
    return {name: sent.reshape(len(x), -1) for name, sent in found.items()}


@pytest.mark.parametrize("where", ["here", "paper"])
def test_our_matrices_and_sinabs_rule_give_sinabs_spikes(
    where: str, request: pytest.FixtureRequest
):
    pytest.importorskip("sinabs", reason=SINABS)
    if where == "here":
        graph = made_here()
    else:
        folder: Path = request.getfixturevalue("shared_data")
        graph = nir.read(folder / "nir_paper" / "cnn_sinabs.nir")
    (node,) = graph.inputs.values()
    shape = tuple(int(n) for n in node.input_type["input"])
    x = (np.random.default_rng(0).random((STEPS, *shape)) < 0.2).astype(float)
    theirs = sinabs_spikes(graph, x)
    network = lower(graph, 1.0, "subtract")
    assert [p.name for p in network.populations] == list(theirs)
    sent = {name: x.reshape(STEPS, -1) for name in network.inputs} | theirs
    for p in network.populations:
        (s,) = p.synapses
        current_SN = sent[s.source] @ dense(s.weight).T + p.bias
        v, theta = np.zeros(p.size), p.v_threshold
        for t in range(STEPS):
            v = v + current_SN[t]
            count = np.maximum(np.floor(v / theta), 0)
            np.testing.assert_array_equal(theirs[p.name][t], count, err_msg=f"{p.name} {t}")
            v = np.maximum(v - count * theta, -theta)

    # At the first step of the first layer the rules agree on who fires, but for ties.
    ours = reference_float(network, {name: x.reshape(1, STEPS, -1) for name in network.inputs})
    first = network.populations[0]
    tie = ours.membranes[first.name][0, 0] == first.v_threshold
    fires = theirs[first.name][0] > 0
    assert fires.any() and (theirs[first.name].max() > 1)
    np.testing.assert_array_equal(ours.spikes[first.name][0, 0][~tie], fires[~tie])
