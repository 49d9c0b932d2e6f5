"""Cores: hand-computed networks, and the bits of a weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.fixed_point.quantise import quantise
from hardware.graph.network import Network, Synapses
from hardware.reporting.fit import LOIHI_2, STATE_BITS, CoreLimits, fit_cores
from tests.hardware.reporting.test_cost import chain, costed, population


def test_cores_are_the_larger_of_neurons_and_synaptic_memory():
    network = chain([[1.0] * 3] * 10, [[1.0] * 10] * 4)
    one, two = costed(network, [[[1, 0, 0]]])[0].fit
    assert (one.synapse_bits, one.state_bits, one.cores) == (10 * 3 * 8, 10 * STATE_BITS, 1)
    assert (one.axons_in, one.axons_out, two.axons_in, two.axons_out) == (3, 10, 10, 0)
    by_neurons = CoreLimits(neurons=4, synapse_bits=10**6, axons=10)
    one, two = costed(network, [[[1, 0, 0]]], limits=by_neurons)[0].fit
    assert (one.cores, two.cores, one.axons_out) == (3, 1, 4)
    by_memory = CoreLimits(neurons=100, synapse_bits=120, axons=9)
    found = costed(network, [[[1, 0, 0]]], limits=by_memory)[0]
    assert [f.cores for f in found.fit] == [2, 3] and found.cores == 5  # 240 and 320 bits
    assert [f.fits for f in found.fit] == [False, False]  # 5 neurons · 3 cores; 10 axons in
    assert found.fit[0].axons_out == 5 * 3


@pytest.mark.parametrize(
    ("k", "bits"),
    [
        ((127, -127), 8),
        ((7, -5), 4),  # three of magnitude, one of sign
        ((6, -4), 3),  # 3 and -2 on twice the grid
        ((255, 3), 8),  # one sign: none is stored
        ((-7, 0), 3),
        ((255, -3), 8),  # two synapses of one sign
        ((1, 0), 1),
        ((0, 0), 1),
        ((1 / 3, -2.1), 7),  # 10 and -63 steps of 1/30
        ((np.pi, -np.e), 8),  # on no grid: two synapses of 8 bits
    ],
)
def test_bits_of_a_weight_are_those_of_its_integers(k: tuple[float, float], bits: int):
    network = chain([[w / 64 for w in k]] * 3, [[1, 1, -1]])
    found, _ = costed(network, [[[1, 0]]], integers=quantise(network, {"x": 1 / 16}))
    one, two = found.fit
    assert (one.weight_bits, one.synapse_bits) == (bits, bits * 6)
    assert (two.weight_bits, two.synapse_bits) == (2, 2 * 3)


def test_a_layer_needs_the_bits_of_its_widest_matrix():
    one = population("one", [[7 / 64, -1 / 64]] * 3, "x")
    one = replace(one, synapses=(*one.synapses, Synapses("t", np.ones((3, 1)), "t")))
    network = Network({"x": 2, "t": 1}, (one,), {"out": "one"}, 1e-4)
    (fit,) = fit_cores(network, quantise(network, {"x": 1 / 16, "t": 1 / 128}), LOIHI_2)
    assert (fit.weight_bits, fit.synapse_bits) == (4, 4 * 3 * 3)


def test_the_branch_of_the_paper_takes_two_cores_a_layer():
    rng = np.random.default_rng(0)
    weight = (rng.random((512, 512)) > 0.1).tolist()
    found, _ = costed(chain(weight, weight), np.zeros((1, 1, 512)).tolist())
    # 512·512 weights of 8 bits are 256 KiB, a core holds 128.
    assert [fit.cores for fit in found.fit] == [2, 2] and all(fit.fits for fit in found.fit)
