"""The exact evaluator against cases computed by hand and against torch's convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import nir
import numpy as np
import pytest
import torch

from hardware.conformance.evaluate import Rule, convolve, evaluate, exact, pool
from hardware.conformance.goldens import chain, cuba, full, goldens, lif

DT = 1e-4


def stepped(node: nir.NIRNode, x: Sequence[float], rule: Rule | None = None) -> list[float]:
    """What the first of three equal neurons sends."""
    values = np.repeat(np.array(x, np.float32)[:, None], 3, 1)
    found = evaluate(chain(node), {"input": values}, DT, rule)["output"]
    assert all(isinstance(value, Fraction) for value in found.ravel())
    return [float(value) for value in found[:, 0]]


def test_a_lif_by_hand():
    node = lif(v_threshold=full(1.25))
    # v = v/2 + x: 1, 1.5 → spike → 0, 1, 0.5, 1.25 (a tie) → no spike, 1.625 → spike
    x = [1, 1, 1, 0, 1, 1]
    assert stepped(node, x) == [0, 1, 0, 0, 0, 1]
    assert stepped(node, x, Rule(at_tie=True)) == [0, 1, 0, 0, 1, 0]
    # 1, 1.5 → 0.25, 1.125, 0.5625, 1.28 → 0.03, 1.0
    assert stepped(node, x, Rule(reset="subtract")) == [0, 1, 0, 0, 1, 0]
    # 1, 1.5, 1.75, 0.875, 1.4375, 1.71875
    assert stepped(node, x, Rule(reset="none")) == [0, 1, 1, 0, 1, 1]
    assert stepped(node, x, Rule(late=2)) == [0, 0, 0, 1, 0, 0]


def test_v_leak_and_v_reset_by_hand():
    leak = nir.LI(full(2 * DT), full(2), full(1))
    assert stepped(leak, [0, 0, 1]) == [0.5, 0.75, 1.875]
    node = lif(v_reset=full(-1), v_threshold=full(0.75))
    # 1 → −1; −0.5 + 1 = 0.5; 0.25 + 1 = 1.25 → −1; 0.5
    assert stepped(node, [1, 1, 1, 1]) == [1, 0, 1, 0]


def test_a_cuba_neuron_by_hand():
    node = nir.CubaLI(full(2 * DT), full(4 * DT), full(4), full(0), full(2))
    # i: 1, 0.5, 1.25; v = 3/4·v + i: 1, 1.25, 2.1875
    assert stepped(node, [1, 0, 1]) == [1, 1.25, 2.1875]
    assert stepped(node, [1, 0, 1], Rule(synapse_late=True)) == [0, 1, 1.25]
    # v: 1, 1.25 → 0; i = 0.25: 0.25
    assert stepped(cuba(), [1, 0, 0]) == [0, 1, 0]


def test_integrators_and_a_threshold_by_hand():
    assert stepped(nir.I(full(0.5 / DT)), [1, 1, 0]) == [0.5, 1, 1]
    assert stepped(nir.IF(full(1 / DT), full(1.5), full(0)), [1, 1, 1, 1]) == [0, 1, 0, 1]
    assert stepped(nir.Threshold(full(1)), [1, 1.5]) == [0, 1]
    assert stepped(nir.Delay(full(2 * DT)), [1, 2, 3, 4]) == [0, 0, 1, 2]


def test_an_edge_that_closes_a_cycle_is_a_step_late():
    names = {"input": nir.Input({"input": np.array([3])}), "n": nir.I(full(1 / DT))}
    names |= {"output": nir.Output({"output": np.array([3])}), "b": nir.Scale(full(1))}
    edges = [("input", "n"), ("n", "b"), ("b", "n"), ("n", "output")]
    x = {"input": np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]], np.float32)}
    found = evaluate(nir.NIRGraph(names, edges), x, DT)["output"]
    assert found[:, 0].tolist() == [1, 2, 4]
    cut = evaluate(nir.NIRGraph(names, edges), x, DT, Rule(cut=True))["output"]
    assert cut[:, 0].tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), ((2, 1), (1, 0), 1, 1), (1, "same", 1, 1), (1, "same", 2, 2), (2, 1, 2, 2)],
)
def test_convolutions_are_torchs(stride, padding, dilation, groups):
    rng = np.random.default_rng(5)
    x, w = rng.integers(-4, 5, (4, 7, 6)) / 4, rng.integers(-4, 5, (2, 4 // groups, 3, 2)) / 8
    node = nir.Conv2d((7, 6), w, stride, padding, dilation, 1, np.array([0.5, -1]))
    node.groups = groups
    image, weight, bias = (torch.from_numpy(a) for a in (x[None], w, np.array([0.5, -1])))
    expected = torch.nn.functional.conv2d(image, weight, bias, stride, padding, dilation, groups)[0]
    assert (convolve(exact(x), node).astype(float) == expected.numpy()).all()


def test_pooling_is_torchs():
    x = np.random.default_rng(6).integers(-4, 5, (2, 7, 6)).astype(float)
    sizes = [np.array(v) for v in ((2, 2), (2, 1), (1, 0))]
    node, tensor = nir.AvgPool2d(*sizes), torch.from_numpy(x)[None]
    mean = torch.nn.functional.avg_pool2d(tensor, (2, 2), (2, 1), (1, 0))[0].numpy()
    assert (pool(exact(x), node, True).astype(float) == mean).all()
    assert (pool(exact(x), node, False).astype(float) == 4 * mean).all()


def test_every_golden_sends_something_that_changes():
    for name, golden in goldens().items():
        for values in golden.outputs().values():
            flat = values.reshape(len(values), -1)
            assert len(np.unique(flat, axis=0)) > 2, name
