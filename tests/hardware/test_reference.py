"""The oracles, against loops in plain Python numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardware.fixed_point.integers import (
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapses,
    to_integers,
)
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import integer_lif_step, reference_int
from hardware.graph.graph import lower
from hardware.graph.network import Network, Population, Synapses
from hardware.reference_float import lif_step, reference_float
from mdft.errors import UserError
from tests.hardware.nets import grids, random_graph, random_inputs

pytestmark = pytest.mark.rounding


def one_neuron(
    decay: float, theta: float, v_leak: float = 0.0, v_reset: float = 0.0, gain: float = 1.0
) -> Network:
    def a(x: float) -> np.ndarray:
        return np.array([x])

    p = Population(
        "n",
        (Synapses("x", np.ones((1, 1)), "w"),),
        a(0),
        a(decay),
        a(gain),
        a(v_leak),
        a(v_reset),
        a(theta),
    )
    return Network({"x": 1}, (p,), {"out": "n"}, 1e-4)


def drive(network: Network, currents: list[float]) -> tuple[list[int], list[float]]:
    found = reference_float(network, {"x": np.array(currents).reshape(1, -1, 1)})
    return found.spikes["n"].ravel().tolist(), found.membranes["n"].ravel().tolist()


def test_hand_computed_trace():
    # v = v/2 + I: .75; .375+.5 = .875; .4375+.75 = 1.1875 spikes; 0+1 = 1 (not above 1); .5+.5 = 1
    spikes, membranes = drive(one_neuron(0.5, 1.0), [0.75, 0.5, 0.75, 1.0, 0.5, 0.50390625])
    assert membranes == [0.75, 0.875, 1.1875, 1.0, 1.0, 1.00390625]
    assert spikes == [0, 0, 1, 0, 0, 1]


def test_leak_towards_v_leak_and_reset_to_v_reset():
    # v = .75 v + .25·(−1) + .5·I
    spikes, membranes = drive(one_neuron(0.25, 1.0, -1.0, -0.5, 0.5), [0.0, 4.0, 0.0])
    assert membranes == [-0.25, 0.75 * -0.25 - 0.25 + 2, 0.75 * -0.5 - 0.25]
    assert spikes == [0, 1, 0]


def plain_float(network: Network, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same graph, one neuron and one synapse at a time."""
    batch, steps = next(iter(inputs.values())).shape[:2]
    out = {p.name: np.zeros((batch, steps, p.size)) for p in network.populations}
    for b in range(batch):
        v = {p.name: [0.0] * p.size for p in network.populations}
        for t in range(steps):
            for p in network.populations:
                for n in range(p.size):
                    current = float(p.bias[n])
                    for s in p.synapses:
                        x = inputs.get(s.source, out.get(s.source))
                        assert x is not None
                        for m in range(s.weight.shape[1]):
                            current += float(s.weight[n, m]) * float(x[b, t, m])
                    u = (1 - p.decay[n]) * v[p.name][n] + p.gain[n] * current
                    fires = u > p.v_threshold[n]
                    out[p.name][b, t, n] = fires
                    v[p.name][n] = 0.0 if fires else u
    return out


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_reference_float_is_the_plain_loop(dtype: type):
    rng = np.random.default_rng(1)
    network = lower(random_graph(rng, features=6, size=7))
    inputs = random_inputs(rng, features=6, batch=2, steps=8)
    found = reference_float(network, inputs, dtype)
    for name, spikes in plain_float(network, inputs).items():
        np.testing.assert_array_equal(found.spikes[name], spikes)
        assert 0.02 < spikes.mean() < 0.6


def test_samples_do_not_see_each_other():
    rng = np.random.default_rng(2)
    network = lower(random_graph(rng))
    inputs = random_inputs(rng, batch=4)
    together = reference_float(network, inputs).spikes["lif_3"]
    alone = [
        reference_float(network, {k: x[i : i + 1] for k, x in inputs.items()}) for i in range(4)
    ]
    np.testing.assert_array_equal(together, np.concatenate([a.spikes["lif_3"] for a in alone]))


def shifted(product: int) -> int:
    """A right shift by 12 towards zero."""
    return abs(product) // 4096 * (1 if product >= 0 else -1)


def plain_int(
    a: int, state: tuple[int, int], bias: int, du: int, dv: int, vth: int
) -> tuple[int, int, int, int]:
    """Lava's documented arithmetic in Python's integers: spike, v before, u after, v after."""
    u, v = state
    u = shifted(u * (4096 - (du + 1))) + a * 64
    if u > 2**23:
        u -= 2**24
    if u <= -(2**23):
        u += 2**24
    v = max(-(2**23) + 1, min(2**23 - 1, shifted(v * (4096 - dv)) + u + bias))
    return (1, v, u, 0) if v > vth * 64 else (0, v, u, v)


@settings(max_examples=200, deadline=None)
@example(131_072, 0, 0, 0, 0, 4095, 0, 1)  # 2**23 stays
@example(-131_072, 0, 0, 0, 0, 4095, 0, 1)  # −2**23 wraps
@given(
    a=st.integers(-300_000, 300_000),
    u=st.integers(-(2**23) + 1, 2**23),
    v=st.integers(-(2**23) + 1, 2**23 - 1),
    mant=st.integers(-4096, 4095),
    exp=st.integers(0, 7),
    du=st.sampled_from([0, 1, 2047, 4094, 4095]),
    dv=st.integers(0, 4095),
    vth=st.integers(1, 131071),
)
def test_integer_step_is_lavas_documented_arithmetic(a, u, v, mant, exp, du, dv, vth):
    p = IntegerPopulation("n", (), np.array([mant]), exp, dv, vth, 1.0, du)
    state = np.array([[u]]), np.array([[v]])
    (spike, membrane, _, _), after = integer_lif_step(np.array([[a]]), state, p)
    found = tuple(int(x[0, 0]) for x in (spike, membrane, *after))
    assert found == plain_int(a, (u, v), mant << exp, du, dv, vth)


def test_wrapped_and_clipped_are_counted():
    source = one_neuron(0.5, 1.0)
    p = IntegerPopulation(
        "n", (IntegerSynapses("x", np.array([[1]]), 0, True),), np.array([0]), 0, 0, 131071, 1.0
    )
    network = IntegerNetwork(source, (p,), {"x": 1.0}, ())
    # 131073·64 = 2^23 + 64 wraps to 64 − 2^23; −131000·64 on top of it is clipped.
    found = reference_int(network, {"x": np.array([131073.0, -131000.0]).reshape(1, 2, 1)})
    assert found.membranes["n"].ravel().tolist() == [64 - 2**23, -(2**23) + 1]
    assert found.counts == {"wrapped": 1, "clipped": 1}


@pytest.mark.parametrize(("du", "largest"), [(4095, 2**22 - 1), (2047, 2**22 - 2**14 - 1)])
def test_sums_of_32_bits_are_bounded_to_the_unit(du: int, largest: int):
    """x << 3 << 6, and beside it a current of 24 bits where there is a memory, below 2**31."""
    synapses = (IntegerSynapses("x", np.array([[1]]), 3, True),)
    p = IntegerPopulation("n", synapses, np.array([0]), 0, 0, 131071, 1.0, du)
    network = IntegerNetwork(one_neuron(0.5, 1.0), (p,), {"x": 1.0}, ())
    for sign in (1, -1):
        inputs = {"x": np.full((1, 1, 1), sign * float(largest))}
        assert to_integers(network, inputs)["x"].item() == sign * largest
        with pytest.raises(UserError, match=r"n: its input could reach .* in 32 bits"):
            to_integers(network, {"x": inputs["x"] + sign})


def test_integers_equal_float_where_no_leak_is_rounded():
    """One step from rest has nothing to leak, so both arithmetics agree in every spike."""
    rng = np.random.default_rng(3)
    network = lower(random_graph(rng, layers=3))
    inputs = random_inputs(rng, batch=64, steps=1)
    exact = reference_float(network, inputs)
    integers = reference_int(quantise(network, grids()), inputs)
    for name, spikes in exact.spikes.items():
        np.testing.assert_array_equal(integers.spikes[name], spikes)
        membrane = integers.membrane(name)
        np.testing.assert_array_equal(membrane, exact.membranes[name])


def test_strict_threshold():
    p = one_neuron(0.5, 1.0).populations[0]
    for value, fires in ((1.0, False), (np.nextafter(1.0, 2.0), True)):
        (spike, _), _ = lif_step(np.array([[value]]), np.zeros((1, 1)), p)
        assert bool(spike[0, 0]) is fires


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.zeros((1, 3, 2)), np.full((1, 3, 1), np.nan)])
def test_bad_inputs_are_refused(bad: np.ndarray):
    with pytest.raises(UserError, match="input 'x'"):
        reference_float(one_neuron(0.5, 1.0), {"x": bad})
    with pytest.raises(UserError, match="missing"):
        reference_float(one_neuron(0.5, 1.0), {})
