"""Convolutions, pooling, delays, cycles and mixed neurons against plain loops, and in Lava."""

from __future__ import annotations

import warnings
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import simulate
from hardware.graph.graph import lower, read_network
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware import plain_nir
from tests.hardware.images_and_cycles import DT, random_chain, spikes_in


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), subtracts=st.booleans())
def test_the_float_reference_is_the_plain_loop(seed: int, subtracts: bool):
    graph, late = random_chain(seed)
    inputs = spikes_in(graph, seed, batch=1)
    values, membranes = plain_nir.run(graph, inputs, DT, late, subtracts)
    found = reference_float(lower(graph, DT, "subtract" if subtracts else "to-value"), inputs)
    for name, spikes in found.spikes.items():
        np.testing.assert_allclose(found.membranes[name], membranes[name], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(spikes, values[name], err_msg=name)


@pytest.mark.parametrize("seed", range(12))
def test_a_file_gives_what_the_graph_gives(tmp_path: Path, seed: int):
    graph, _ = random_chain(seed)
    nir.write(tmp_path / "g.nir", graph)
    inputs = spikes_in(graph, seed)
    one = reference_float(lower(graph, DT), inputs)
    two = reference_float(read_network(tmp_path / "g.nir", DT), inputs)
    assert list(one.spikes) == list(two.spikes)
    for name, spikes in one.spikes.items():
        np.testing.assert_array_equal(spikes, two.spikes[name])


@pytest.mark.lava
def test_lava_gives_the_spikes_and_membranes_of_the_references():
    """Every graph that Lava can express, mixed neurons and recurrent layers among them."""
    ran = recurrent = mixed = 0
    for seed in range(16):
        graph, late = random_chain(seed, mixed=seed % 2 == 0, long_cycles=seed % 4 == 3)
        network, inputs = lower(graph, DT), spikes_in(graph, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                found = [simulate(network, inputs, b) for b in ("lava_fixed", "lava_float")]
            except UserError as error:
                assert "Lava takes a step for each layer" in str(error)
                continue
            expected = [simulate(network, inputs, b) for b in ("reference_int", "reference_float")]
        ran, recurrent = ran + 1, recurrent + bool(late)
        mixed += "groups of equal constants" in found[0].counts
        for one, other in zip(found, expected, strict=True):
            for name, spikes in other.spikes.items():
                np.testing.assert_array_equal(one.spikes[name], spikes, err_msg=f"{seed} {name}")
        for name, membranes in expected[0].membranes.items():
            np.testing.assert_array_equal(found[0].membranes[name], membranes)
    assert ran >= 12 and recurrent >= 4 and mixed >= 4
