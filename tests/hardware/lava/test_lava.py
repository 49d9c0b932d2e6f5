"""Lava against the oracles: bit for bit, in one process and in its own runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.graph.network import Network, Recording, Synapses
from hardware.lava.plan import load_plan, plan_fixed, plan_float, save_plan
from hardware.lava.run import lava_fixed, lava_float
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware.nets import grids, random_graph, random_inputs

PROCESS = pytest.param("process", marks=pytest.mark.subprocess)

SHAPES = [(0, 1, 0.5), (1, 2, 0.5), (2, 3, 0.5), (3, 3, 0.75), (4, 4, 1 - 410 / 4096)]


def case(seed: int, layers: int, beta: float) -> tuple[Network, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    network = lower(random_graph(rng, layers=layers, beta=beta))
    return network, random_inputs(rng, batch=4, steps=7)


def assert_equal(found: Recording, expected: Recording) -> None:
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=name)
        if found.membranes:
            np.testing.assert_array_equal(found.membranes[name], expected.membranes[name])


@pytest.mark.lava
@pytest.mark.parametrize(("seed", "layers", "beta"), SHAPES)
def test_lava_float_is_the_float_reference(seed: int, layers: int, beta: float):
    network, inputs = case(seed, layers, beta)
    expected = reference_float(network, inputs)
    rates = [spikes.mean() for spikes in expected.spikes.values()]
    assert all(0.02 < rate < 0.6 for rate in rates), rates
    found = lava_float(network, inputs)
    assert set(found.membranes) == set(expected.spikes)
    # Else no membrane comes nearer to its threshold than 1e-4 in these seeds.
    if beta == 0.5:  # powers of two: float64 is exact in any order
        assert_equal(found, expected)
    else:
        assert_equal(replace(found, membranes={}), expected)


@pytest.mark.lava
@pytest.mark.parametrize(("seed", "layers", "beta"), SHAPES)
def test_lava_fixed_is_the_integer_reference(seed: int, layers: int, beta: float):
    network, inputs = case(seed, layers, beta)
    integers = quantise(network, grids())
    found, expected = lava_fixed(integers, inputs), reference_int(integers, inputs)
    assert set(found.membranes) == set(expected.membranes)
    assert_equal(found, expected)


@pytest.mark.lava
def test_lava_fixed_wraps_and_clips_as_the_reference_does():
    network, inputs = case(5, 2, 0.5)
    inputs["events"] = inputs["events"] * 60  # far beyond 24 bits of current
    integers = quantise(network, grids())
    expected = reference_int(integers, inputs)
    assert expected.counts["wrapped"] > 0
    assert_equal(lava_fixed(integers, inputs), expected)


@pytest.mark.lava
def test_signs_of_a_whole_matrix():
    """All weights excitatory, or all inhibitory: Lava then keeps odd integers too."""
    network, inputs = case(6, 1, 0.5)
    (p,) = network.populations
    for sign in (1, -1):
        synapses = tuple(
            Synapses(s.source, sign * np.abs(s.weight), s.nodes) if s.source == "events" else s
            for s in p.synapses
        )
        bias = p.bias if sign > 0 else p.bias + 2
        changed = replace(network, populations=(replace(p, synapses=synapses, bias=bias),))
        integers = quantise(changed, grids())
        expected = reference_int(integers, inputs)
        assert 0 < expected.spikes["lif_1"].mean() < 1
        assert_equal(lava_fixed(integers, inputs), expected)
        assert_equal(lava_float(changed, inputs), reference_float(changed, inputs))


@pytest.mark.subprocess
@pytest.mark.lava
def test_lavas_own_runtime_gives_the_same():
    network, inputs = case(7, 2, 0.5)
    integers = quantise(network, grids())
    fixed = lava_fixed(integers, inputs, "process")
    assert not fixed.membranes  # reading them through Lava costs seconds
    assert_equal(fixed, lava_fixed(integers, inputs, "inline"))
    assert_equal(lava_float(network, inputs, "process"), lava_float(network, inputs, "inline"))


@pytest.mark.lava
@pytest.mark.parametrize(("value", "bias"), [(0.0, 0.5), (1.0, -4.0), (0.5, -2.0)])
def test_lava_fixed_with_refined_weights(value: float, bias: float):
    """Coarse weights of one or both signs, whose exponent would exceed 7."""
    network, inputs = case(12, 2, 0.5)
    first, second = network.populations
    weight = np.full((second.size, first.size), value)
    weight[:, ::2] *= -1 if value == 0.5 else 1
    synapses = tuple(
        replace(s, weight=weight) if s.source == first.name else s for s in second.synapses
    )
    second = replace(second, synapses=synapses, bias=second.bias + bias)
    changed = replace(network, populations=(first, second))
    inputs["threshold_current"] = inputs["threshold_current"] / 4
    integers = quantise(changed, {"events": 2.0**-4, "threshold_current": 2.0**-9})
    expected = reference_int(integers, inputs)
    assert 0 < expected.spikes["lif_2"].mean() < 1
    assert_equal(lava_fixed(integers, inputs), expected)


def test_a_plan_survives_its_file(tmp_path):
    network, inputs = case(8, 3, 0.5)
    for plan in (plan_float(network, inputs), plan_fixed(quantise(network, grids()), inputs)):
        save_plan(plan, tmp_path / "plan.npz")
        read = load_plan(tmp_path / "plan.npz")
        assert (read.tag, read.batch, read.steps, read.total) == (
            plan.tag,
            plan.batch,
            plan.steps,
            4 * 7 + 3,
        )
        for a, b in zip(plan.lifs, read.lifs, strict=True):
            assert (a.name, a.du, a.dv, a.vth, a.bias_exp, a.depth) == (
                b.name,
                b.du,
                b.dv,
                b.vth,
                b.bias_exp,
                b.depth,
            )
            assert [(d.source, d.delay, d.weight_exp, d.message_bits) for d in a.dense] == [
                (d.source, d.delay, d.weight_exp, d.message_bits) for d in b.dense
            ]
            for x, y in zip(a.dense, b.dense, strict=True):
                np.testing.assert_array_equal(x.weight, y.weight)


def test_inputs_over_a_short_path_come_late():
    plan = plan_float(*case(9, 3, 0.5))
    assert [lif.depth for lif in plan.lifs] == [1, 2, 3]
    delays = {(lif.name, d.source): d.delay for lif in plan.lifs for d in lif.dense}
    assert [delays[f"lif_{i}", "threshold_current"] for i in (1, 2, 3)] == [0, 1, 2]
    assert delays["lif_1", "events"] == 0
    assert delays["lif_3", "lif_2"] == 0


def with_a_skip() -> tuple[Network, dict[str, np.ndarray]]:
    """Four layers; the first also feeds the third and the last, over one relay and two."""
    network, inputs = case(10, 4, 0.5)
    rng = np.random.default_rng(10)
    populations = list(network.populations)
    for i in (2, 3):
        p = populations[i]
        weight = np.round(rng.normal(0, 12, (p.size, populations[0].size))) * 2.0**-6
        populations[i] = replace(p, synapses=(*p.synapses, Synapses("lif_1", weight, "skip")))
    return replace(network, populations=tuple(populations)), inputs


@pytest.mark.lava
@pytest.mark.parametrize("runtime", ["inline", PROCESS])
def test_spikes_that_skip_layers_arrive_as_late_as_needed(runtime: str):
    network, inputs = with_a_skip()
    delays = [[d.delay for d in lif.dense] for lif in plan_float(network, inputs).lifs]
    assert [d[-1] for d in delays[2:]] == [1, 2]
    expected = reference_float(network, inputs)
    without = reference_float(case(10, 4, 0.5)[0], inputs)
    assert (expected.spikes["lif_4"] != without.spikes["lif_4"]).mean() > 0.05
    assert_equal(lava_float(network, inputs, runtime), expected)
    integers = quantise(network, grids())
    assert_equal(lava_fixed(integers, inputs, runtime), reference_int(integers, inputs))


def test_unknown_runtime():
    network, inputs = case(11, 1, 0.5)
    with pytest.raises(UserError, match="inline"):
        lava_float(network, inputs, "chip")
