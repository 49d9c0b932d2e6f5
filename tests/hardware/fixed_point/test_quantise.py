"""Integers for Loihi: exact on the grid, said when not, refused out of range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.fixed_point.integers import to_integers
from hardware.fixed_point.quantise import (
    _current_decay,
    grid_of,
    input_grids,
    input_notes,
    quantise,
)
from hardware.graph.graph import lower
from hardware.graph.network import Network
from mdft.errors import UserError
from tests.hardware.nets import grids, lif, random_graph


@pytest.fixture(scope="module")
def network() -> Network:
    return lower(random_graph(np.random.default_rng(0)))


def test_on_the_grid_everything_is_exact(network: Network):
    integers = quantise(network, grids())
    assert integers.notes == ()
    for p, q in zip(network.populations, integers.populations, strict=True):
        for s, k in zip(p.synapses, q.synapses, strict=True):
            value = k.weight * 2**k.weight_exp * q.unit / integers.input_grids.get(s.source, 1)
            np.testing.assert_array_equal(value, s.weight)
            mixed = (k.weight > 0).any() and (k.weight < 0).any()
            assert not mixed or (k.weight % 2 == 0).all()  # Lava drops odd ones
            assert np.abs(k.weight).max() <= 254
        np.testing.assert_array_equal((q.bias_mant << q.bias_exp) * q.unit / 64, p.bias)
        assert q.dv == 2048
        assert q.vth == np.floor(p.v_threshold[0] / q.unit)


def test_units_of_our_graph(network: Network):
    units = [p.unit for p in quantise(network, grids()).populations]
    # 2^-6 · 2^-4 / 2 for graded inputs, 2^-6 / 2 for spikes
    assert units == [2.0**-11, 2.0**-7, 2.0**-7]


@given(st.integers(-10, 10), st.lists(st.integers(-127, 127), min_size=1, max_size=8))
def test_grid_of_finds_the_coarsest(exponent: int, ks: list[int]):
    values = np.array(ks) * 2.0**exponent
    step = grid_of(values, 127)
    assert step is not None
    k = values / step
    assert (k == np.round(k)).all() and np.abs(k).max() <= 127
    assert not k.any() or (k % 2 != 0).any()


def test_grid_of_refuses():
    assert grid_of(np.array([1.0, 1 / 3]), 127) is None
    assert grid_of(np.array([128.0, 1.0]), 127) is None
    assert input_grids({"x": np.array([0.25, 1.5]), "z": np.zeros(3)}) == {"x": 0.25, "z": 1.0}


def changed(network: Network, **fields) -> Network:
    first, *rest = network.populations
    return replace(network, populations=(replace(first, **fields), *rest))


def test_rounding_is_said(network: Network):
    first = network.populations[0]
    s = first.synapses[0]
    off = replace(s, weight=s.weight + 1e-4)
    integers = quantise(changed(network, synapses=(off, *first.synapses[1:])), grids())
    assert sum(s.nodes in note for note in integers.notes) == 1
    parts = [x for x in integers.populations[0].synapses if x.source == s.source]
    unit = integers.populations[0].unit / grids()["events"]
    value = sum(k.weight * 2**k.weight_exp for k in parts) * unit
    assert np.abs(value - off.weight).max() <= 2.0**-8  # half a step of 8 bits of each sign
    odd_decay = quantise(changed(network, decay=np.full(first.size, 0.3)), grids())
    assert "rounded to 1229/4096" in odd_decay.notes[0]
    low = changed(network, v_threshold=first.v_threshold * 0 + 0.01)
    (note,) = quantise(low, grids(), exponents=False).notes
    assert note == "lif_1: threshold 0.01 rounded down to 0.00976562"
    odd_bias = quantise(changed(network, bias=first.bias + 1e-5), grids())
    assert "bias rounded" in odd_bias.notes[0]


def second_layer(network: Network, weight: np.ndarray) -> Network:
    first, second, *rest = network.populations
    synapses = tuple(
        replace(s, weight=weight) if s.source == first.name else s for s in second.synapses
    )
    return replace(network, populations=(first, replace(second, synapses=synapses), *rest))


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 4.0])
def test_coarse_weights_beside_a_fine_input_are_exact(network: Network, value: float):
    """The coarsest grid of such weights would need a weight exponent of 8 and more."""
    size = network.populations[1].size
    weight = np.full((size, network.populations[0].size), value)
    graph = second_layer(network, weight)
    integers = quantise(graph, {"events": 2.0**-4, "threshold_current": 2.0**-9})
    assert integers.notes == ()
    population = integers.populations[1]
    k = next(x for x in population.synapses if x.source == "lif_1")
    assert 0 <= k.weight_exp <= 7 and np.abs(k.weight).max() <= 127
    np.testing.assert_array_equal(k.weight * 2.0**k.weight_exp * population.unit, weight)


def test_mixed_signs_are_refined_too_and_stay_even(network: Network):
    size = network.populations[1].size
    weight = np.where(np.arange(network.populations[0].size) % 2, 2.0, -2.0) * np.ones((size, 1))
    integers = quantise(
        second_layer(network, weight), {"events": 2.0**-4, "threshold_current": 2.0**-9}
    )
    population = integers.populations[1]
    k = next(x for x in population.synapses if x.source == "lif_1")
    assert k.weight_exp == 7 and (k.weight % 2 == 0).all() and np.abs(k.weight).max() <= 254
    np.testing.assert_array_equal(k.weight * 2.0**k.weight_exp * population.unit, weight)


def test_nine_bits_of_mixed_signs_are_split_by_their_sign(network: Network):
    rng = np.random.default_rng(2)
    size = network.populations[1].size
    weight = rng.integers(-255, 256, (size, network.populations[0].size)) * 2.0**-7
    integers = quantise(second_layer(network, weight), grids())
    assert integers.notes == ()
    population = integers.populations[1]
    parts = [s for s in population.synapses if s.source == "lif_1"]
    assert [(s.weight.min() >= 0, s.weight.max() <= 0) for s in parts] == [
        (True, False),
        (False, True),
    ]
    total = sum(s.weight * 2.0**s.weight_exp for s in parts) * population.unit
    np.testing.assert_array_equal(total, weight)


def test_a_threshold_is_rounded_down(network: Network):
    """On the grid v > θ and v > floor(θ) agree; a v between would not exceed the nearest."""
    first = network.populations[0]
    unit = 2.0**-11
    off = changed(network, v_threshold=np.full(first.size, 1 + 0.75 * unit))
    assert quantise(off, grids()).populations[0].vth == 2048


def test_an_exponent_out_of_reach_is_still_refused(network: Network):
    size = network.populations[1].size
    graph = second_layer(network, np.full((size, network.populations[0].size), 256.0))
    # 256 is 2^22 units of 2^-14; 64 << 16 is as far as 8 bits go
    with pytest.raises(UserError, match="needs the weight exponent 16, at most 7"):
        quantise(graph, {"events": 2.0**-4, "threshold_current": 2.0**-14})


def test_a_population_with_no_weights_at_all_counts_its_bias(network: Network):
    first = network.populations[0]
    silent = tuple(replace(s, weight=np.zeros_like(s.weight)) for s in first.synapses)
    integers = quantise(changed(network, synapses=silent), grids())
    p = integers.populations[0]
    assert integers.notes == ()
    np.testing.assert_array_equal((p.bias_mant << p.bias_exp) * p.unit / 64, first.bias)
    assert p.vth == np.floor(first.v_threshold[0] / p.unit) > 1000


def test_inputs_on_no_grid_get_eight_bits_and_a_note():
    x = np.random.default_rng(3).normal(size=(2, 5, 4))
    inputs = {"x": x, "y": np.arange(4.0)}
    found = input_grids(inputs)
    k = np.abs(x / found["x"]).max()
    assert 127.5 < k <= 255 and np.log2(found["x"]) % 1 == 0
    (note,) = input_notes(inputs, found)
    assert "input 'x' rounded" in note
    fine = np.array([0.25, 2.0**-22])  # on a grid, but one too fine for thresholds of 17 bits
    assert input_grids({"z": fine})["z"] == 2.0**-9


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"v_threshold": 131072.0 * 2**-11}, "17 bits"),
        ({"v_threshold": 2.0**-12}, "17 bits"),
        ({"decay": 1.0}, "4095/4096"),
        ({"bias": 400.0}, "bias"),
        ({"v_reset": 1.0 + 2.0**-13}, "17 bits"),
    ],
)
def test_what_lava_would_not_check_is_refused(network: Network, fields: dict, words: str):
    size = network.populations[0].size
    bad = changed(network, **{k: np.full(size, v) for k, v in fields.items()})
    with pytest.raises(UserError, match="lif_1") as caught:
        quantise(bad, grids())
    assert words in str(caught.value)


def test_per_neuron_thresholds_are_vectors(network: Network):
    theta = network.populations[0].v_threshold.copy()
    theta[3] += 1
    one, found = (
        quantise(x, grids()).populations[0] for x in (network, changed(network, v_threshold=theta))
    )
    expected = np.full(found.size, one.vth)
    expected[3] = np.floor(theta[3] / one.unit)
    assert found.unit == one.unit
    np.testing.assert_array_equal(found.vth, expected)


def test_inputs_out_of_range_are_refused(network: Network):
    integers = quantise(network, grids())
    inputs = {"events": np.full((1, 1, 24), 2.0**20), "threshold_current": np.zeros((1, 1, 1))}
    with pytest.raises(UserError, match="24 bits"):
        to_integers(integers, inputs)
    inputs["events"] = np.full((1, 1, 24), 2.0**18)
    with pytest.raises(UserError, match="32 bits"):
        to_integers(integers, inputs)


def test_twelve_bit_leaks_map_to_dv():
    graph = random_graph(np.random.default_rng(1), layers=1)
    graph.nodes["lif_1"] = lif(32, beta=1 - 410 / 4096)
    assert quantise(lower(graph), grids()).populations[0].dv == 410


def test_the_decay_of_a_current_by_hand():
    # Lava's fixed point leaks (du + 1)/4096: 0.5 is 2048 of them, 0.3 is 1228.8.
    notes: list[str] = []
    assert [_current_decay("lif", x, notes) for x in (0.5, 1.0, 1 / 4096)] == [2047, 4095, 0]
    assert notes == []
    assert _current_decay("lif", 0.3, notes) == 1228
    assert notes == ["lif: decay 0.3 of the current rounded to 1229/4096"]
    for decay, units in ((1e-5, 0), (4097 / 4096, 4097)):
        said = f"^lif: decay {decay:g} of the current is {units}/4096, at least 1/4096$"
        with pytest.raises(UserError, match=said):
            _current_decay("lif", decay, notes)
