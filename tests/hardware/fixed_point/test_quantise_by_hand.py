"""One small population at a time, its integers worked out on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hardware.fixed_point.integers import IntegerNetwork
from hardware.fixed_point.quantise import grid_of, input_notes, nearest_grid, quantise, split_signs
from hardware.graph.network import Current, Network, Population, Synapses
from mdft.errors import UserError

LIMIT = 131_071  # vth has 17 bits


def network(
    *weights: tuple[str, list[float]], bias: float = 0.0, theta: float = 1.0, decay: float = 0.5,
    current: float | None = None, fires: bool = True,
) -> Network:  # fmt: skip
    """A neuron n with a row of weights from each source, nodes w_0, w_1, …"""

    def one(x: float) -> np.ndarray:
        return np.array([x])

    synapses = tuple(Synapses(s, np.array([w]), f"w_{i}") for i, (s, w) in enumerate(weights))
    memory = None if current is None else Current(one(current), one(1.0))
    n = Population(
        "n", synapses, one(bias), one(decay), one(1.0), one(0.0), one(0.0), one(theta), memory,
        fires,
    )  # fmt: skip
    return Network({s: len(w) for s, w in weights}, (n,), {"out": "n"}, 1e-4)


def quantised(*weights: tuple[str, list[float]], grid: float = 1.0, **fields) -> IntegerNetwork:
    """Its integers; x is an input on a grid, any other source spikes."""
    return quantise(network(*weights, **fields), {"x": grid})


def numbers(q: IntegerNetwork) -> list[tuple[list[int], int]]:
    return [(s.weight[0].tolist(), s.weight_exp) for s in q.populations[0].synapses]


HALF = ("x", [1.0, 0.5])
THIRD = ("x", [1.0, 1 / 3])
ONE = ("x", [1.0])
# (weights, other parameters), (weight and exponent of each), unit, vth, notes
BY_HAND: dict[str, tuple[list, dict[str, Any], list, float, int, list[str]]] = {
    "mixed signs are doubled": ([("x", [1.0, -0.5])], {}, [([4, -2], 0)], 0.25, 4, []),
    "one of one sign too": ([("x", [0.5, -1.5])], {}, [([2, -6], 0)], 0.25, 4, []),
    "one sign is not": ([HALF], {}, [([2, 1], 0)], 0.5, 2, []),
    "nor the other": ([("x", [-1.0, -0.5])], {}, [([-2, -1], 0)], 0.5, 2, []),
    "a zero has no sign": ([("x", [0.0, -1.0])], {}, [([0, -1], 0)], 1.0, 1, []),
    "the grid of an input counts": ([HALF], {"grid": 0.25}, [([2, 1], 0)], 0.125, 8, []),
    "spikes have the grid 1": ([("s", [1.0, 0.5])], {"grid": 0.25}, [([2, 1], 0)], 0.5, 2, []),
    "255 of one sign": ([("x", [255.0, 1.0])], {}, [([255, 1], 0)], 1.0, 1, []),
    # Of the steps in which 256 is whole, 256/255 leaves 1 nearest to a whole number of them.
    "256 of one sign": (
        [("s", [256.0, 1.0])], {"theta": 100}, [([255, 1], 6)], 256 / 255 / 64, 6375,
        ["w_0: weights rounded to multiples of 1.00392, by up to 0.00392"],
    ),
    # 1 and 1/3 are whole in steps of 1/129 = 1/3/43; a 32nd of it lies between 2^-13 and 2^-12
    "a step that is no power of two": ([("s", THIRD[1])], {}, [([129, 43], 5)], 1 / 4128, 4128, []),
    # An unknown input of 255 units: 4/3·255 in 17 bits needs a unit of 0.00259
    "an input that is as large as 8 bits": ([THIRD], {}, [([129, 43], 1)], 1 / 258, 258, []),
    # 2000/131071 = 1/65.5
    "as many bits as the threshold leaves": (
        [THIRD], {"theta": 2000}, [([33, 11], 0)], 1 / 33, 66_000, []
    ),
    "from spikes too": (
        [("s", THIRD[1])], {"theta": 2000, "grid": 0.5}, [([33, 11], 0)], 1 / 33, 66_000, []
    ),
    "for a graded input more": (
        [THIRD], {"theta": 2000, "grid": 0.5}, [([18, 6], 0)], 1 / 36, 72_000, []
    ),
    # 100·64/(4095·128) = 1/81.9
    "or as the bias leaves": ([THIRD], {"bias": 100}, [([66, 22], 0)], 1 / 66, 66, []),
    "but five at least": ([THIRD], {"theta": 10_000}, [([9, 3], 0)], 1 / 9, 90_000, []),
    "the finest of several": (
        [ONE, ("s", [2.0**-6])], {}, [([1], 6), ([1], 0)], 2.0**-6, 64, []
    ),
    "nothing has no grid": (
        [ONE, ("s", [0.0]), ("t", [0.5])], {}, [([1], 1), ([0], 0), ([1], 0)], 0.5, 2, []
    ),
    "an exponent of 7": ([ONE, ("s", [2.0**-7])], {}, [([1], 7), ([1], 0)], 2.0**-7, 128, []),
    "an exponent of 8": ([ONE, ("s", [2.0**-8])], {}, [([2], 7), ([1], 0)], 2.0**-8, 256, []),
    "three, an exponent of 12": (
        [("x", [3.0]), ("s", [2.0**-12])], {}, [([96], 7), ([1], 0)], 2.0**-12, 4096, []
    ),
    "an exponent of 13": (
        [ONE, ("s", [2.0**-13])], {}, [([64], 7), ([1], 0)], 2.0**-13, 8192, []
    ),
    "an exponent of 13, one negative": (
        [("x", [-1.0]), ("s", [2.0**-13])], {}, [([-64], 7), ([1], 0)], 2.0**-13, 8192, []
    ),
    "an exponent of 13, mixed": (
        [("x", [1.0, -1.0]), ("s", [2.0**-14])], {},
        [([128, -128], 7), ([1], 0)], 2.0**-14, 16_384, [],
    ),
    "weights of 0 alone": ([("x", [0.0])], {}, [([0], 0)], 2.0**-16, 65_536, []),
    "and a bias": ([("x", [0.0])], {"bias": -100}, [([0], 0)], 2.0**-6, 64, []),
    "without a threshold": ([("x", [0.0])], {"fires": False}, [([0], 0)], 1.0, LIMIT, []),
    # 0.5·64/(4095·128) is above 2^-14
    "without a threshold, a bias": (
        [("x", [0.0])], {"fires": False, "bias": 0.5}, [([0], 0)], 2.0**-13, LIMIT, []
    ),
    "the largest threshold": ([ONE], {"theta": LIMIT}, [([1], 0)], 1.0, LIMIT, []),
    "a threshold off the grid": ([ONE], {"theta": 1.003}, [([1], 0)], 1.0, 1, []),
    # An input of 255 units leaves 512 for 1
    "a threshold far off the grid": ([ONE], {"theta": 1.005}, [([4], 7)], 2.0**-9, 514, []),
    "and with two synapses": (
        [HALF, ("s", [2.0**-7])], {"theta": 1.005}, [([2, 1], 7), ([1], 1)], 2.0**-8, 257, []
    ),
    "and with spikes alone": ([("s", [1.0])], {"theta": 1.005}, [([32], 7)], 2.0**-12, 4116, []),
    "as far as the weight can follow": (
        [("s", [63.0])], {"theta": 1.005}, [([252], 7)], 2.0**-9, 514, []
    ),
    "where the unit is fine already": (
        [ONE, ("s", [2.0**-13])], {"theta": 1.005}, [([64], 7), ([1], 0)], 2.0**-13, 8232, []
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_weights_units_and_thresholds(case: str):
    weights, fields, expected, unit, vth, notes = BY_HAND[case]
    q = quantised(*weights, **fields)
    (n,) = q.populations
    assert (numbers(q), n.unit, n.vth, list(q.notes)) == (expected, unit, vth, notes)
    assert all(s.weight.dtype == np.int64 for s in n.synapses)
    assert [(s.source, s.graded) for s in n.synapses] == [(s, s == "x") for s, _ in weights]


# bias·64/unit in mantissa and exponent, the largest exponent that is exact; unit 1 if it is.
@pytest.mark.parametrize(
    ("bias", "unit", "mantissa", "exponent", "notes"),
    [
        (0.0, 1, 0, 7, []),
        (2.0, 1, 1, 7, []),
        (0.75, 1, 3, 4, []),
        (-1 / 64, 1, -1, 0, []),
        (8190.0, 1, 4095, 7, []),
        (-8190.0, 1, -4095, 7, []),
        # An input of 255 units leaves a unit of 1/512: 10,922.67, of which 4095·2^2 can be 2731
        (1 / 3, 2**-9, 2731, 2, ["n: bias rounded by up to 4.07e-05"]),
        # 262,099.2 = 2047.65·2^7
        (4095.3 / 64, 2**-6, 2048, 7, ["n: bias rounded by up to 0.0109"]),
        (1.5 / 64, 2**-9, 6, 7, []),
        (8000.3, 1, 4000, 7, ["n: bias rounded by up to 0.3"]),
        (1000.3, 2**-3, 4001, 7, ["n: bias rounded by up to 0.05"]),
    ],
)
def test_biases(bias: float, unit: float, mantissa: int, exponent: int, notes: list[str]):
    q = quantised(ONE, bias=bias)
    (n,) = q.populations
    assert (n.bias_mant.tolist(), n.bias_exp, list(q.notes)) == ([mantissa], exponent, notes)
    assert n.bias_mant.dtype == np.int64 and n.unit == unit


def test_what_rounding_changes_in_a_bias_is_said_in_the_graphs_units():
    q = quantise(network(HALF, bias=1 / 3), {"x": 1.0}, exponents=False)  # 42.67 of 1/128
    assert q.populations[0].bias_mant.tolist() == [43]
    assert q.notes == ("n: bias rounded by up to 0.0026",)


def test_decays():
    for decay, dv in ((0.0, 0), (0.5, 2048), (4095 / 4096, 4095)):
        (n,) = (q := quantised(ONE, decay=decay)).populations
        assert (n.dv, n.du, q.notes) == (dv, 4095, ())
    (n,) = (q := quantised(ONE, decay=0.3, current=0.25, theta=2.5)).populations
    assert (n.name, n.dv, n.du, n.fires) == ("n", 1229, 1023, True)
    assert q.notes == ("n: decay 0.3 rounded to 1229/4096",) and n.vth * n.unit == 2.5
    (n,) = (q := quantised(ONE, current=0.3)).populations
    assert n.du == 1228 and q.notes == ("n: decay 0.3 of the current rounded to 1229/4096",)
    assert not quantised(ONE, fires=False).populations[0].fires


@pytest.mark.parametrize(
    ("weights", "fields", "message"),
    [
        ([ONE], {"decay": 1.0}, "n: decay 1 is 4096/4096, at most 4095/4096"),
        ([ONE], {"decay": -0.001}, "n: decay -0.001 is -4/4096, at most 4095/4096"),
        ([ONE], {"theta": LIMIT + 1},
         "n: its threshold is 131072 above v_reset, 131072 units of 1, "
         "expected 1 to 131071 (17 bits)"),
        ([ONE], {"theta": 0.75},
         "n: its threshold is 0.75 above v_reset, 0 units of 1, expected 1 to 131071 (17 bits)"),
        ([ONE], {"bias": -8191},
         "n: bias 8191 is 524224 membrane units, expected at most 524160"),
        ([ONE, ("s", [2.0**-14])], {}, "w_0: needs the weight exponent 8, at most 7"),
        ([("x", [1.0, 0.0]), ("s", [2.0**-14])], {},
         "w_0: needs the weight exponent 8, at most 7"),
        ([("x", [-1.0, 0.0]), ("s", [2.0**-14])], {},
         "w_0: needs the weight exponent 8, at most 7"),
        ([("x", [1.0, -1.0]), ("s", [2.0**-15])], {},
         "w_0: needs the weight exponent 8, at most 7"),
        ([ONE], {"current": 1e-5}, "n: decay 1e-05 of the current is 0/4096, at least 1/4096"),
    ],
)  # fmt: skip
def test_refusals(weights: list, fields: dict, message: str):
    with pytest.raises(UserError) as caught:
        quantised(*weights, **fields)
    assert str(caught.value) == message


def test_what_it_was_made_from_stays_with_it():
    net, grids = network(ONE), {"x": 0.5}
    q = quantise(net, grids)
    assert q.source is net and q.input_grids == grids and q.input_grids is not grids


def test_grids_by_hand():
    top, finest = 2.0**24, 2.0**-24
    for values, limit, step in (
        ([0.0], 1, 1.0), ([top], 1, top), ([2 * top], 2, top), ([2 * top], 1, None),
        ([finest], 1, finest), ([finest / 2], 127, None), ([-127.0, 1.0], 127, 1.0),
        ([-128.0, 1.0], 127, None), ([6.0, 4.0], 3, 2.0),
    ):  # fmt: skip
        assert grid_of(np.array(values), limit) == step, (values, limit)
    assert nearest_grid(np.array([3.0, -127 * 0.25]), 127) == 0.25
    assert nearest_grid(np.array([3.0, -127.5 * 0.25]), 127) == 0.5


def test_what_rounding_changes_in_inputs_is_said():
    inputs = {"x": np.array([0.3, 1.0]), "y": np.array([-0.6, 0.5]), "z": np.array([1.5])}
    assert input_notes(inputs, {"x": 0.25, "y": 0.5, "z": 0.5}) == [
        "input 'x' rounded to multiples of 0.25, by up to 0.05",
        "input 'y' rounded to multiples of 0.5, by up to 0.1",
    ]


def test_signs_are_parted_only_where_that_makes_eight_bits_hold_them():
    def split(*weights: float) -> list[list[float]]:
        s = Synapses("x", np.array([weights]), "w")
        parts = split_signs(s)
        assert len(parts) == 2 or [p is s for p in parts] == [True]
        assert {(p.source, p.nodes) for p in parts} == {("x", "w")}
        return [p.weight[0].tolist() for p in parts]

    assert split(200, -3) == [[200, 0], [0, -3]]
    assert split(3, -255) == [[3, 0], [0, -255]]
    assert split(127, -3) == [[127, -3]]  # seven bits hold them
    assert split(256, -3) == [[256, -3]]  # nine would be needed
    assert split(1 / 3, -1) == [[1 / 3, -1]]
    assert [s.weight.tolist() for s in split_signs(Synapses("x", np.array([[255.0]]), "w"))] == [
        [[255.0]]
    ]
