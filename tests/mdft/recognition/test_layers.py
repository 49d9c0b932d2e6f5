"""Layers as text, and the graph that they become."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hardware.graph.graph import lower
from mdft.errors import UserError
from mdft.recognition.initial import initial_graph
from mdft.recognition.layers import Conv, Dense, Pool, parse_layers


def test_every_kind_of_layer():
    found = parse_layers("16c5s2-p2-8c3-100-C", classes=7)
    assert found == (Conv(16, 5, 2), Pool(2), Conv(8, 3, 1), Dense(100), Dense(7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("256", "the last layer is '256'"),
        ("256-c", "the last layer is 'c'"),
        ("16x5-C", "found '16x5'"),
        ("16c5s-C", "found '16c5s'"),
        ("0-C", "'0' has a 0"),
        ("p0-C", "'p0' has a 0"),
        ("16c0-C", "'16c0' has a 0"),
        ("100-4c3-C", "'4c3' follows a dense layer"),
        ("100-p2-C", "'p2' follows a dense layer"),
        ("-C", "found ''"),
        ("C-C", "found 'C'"),
    ],
)
def test_other_text_is_refused(text: str, message: str):
    with pytest.raises(UserError, match=message):
        parse_layers(text, classes=3)


def test_the_shapes_of_the_graph():
    """34 pixels, kernel 5, padding 2, stride 2: 17; windows of 2: 8; kernel 3: 8; windows: 4."""
    layers = parse_layers("16c5s2-p2-6c3-p2-20-C", classes=10)
    graph = initial_graph(layers, (2, 34, 34), beta=0.75)
    network = lower(graph)
    sizes = {p.name: p.size for p in network.populations}
    assert sizes == {"lif_1": 16 * 17 * 17, "lif_3": 6 * 8 * 8, "lif_5": 20, "lif_6": 10}
    affine = graph.nodes["affine_5"]
    assert isinstance(affine, nir.Affine) and affine.weight.shape == (20, 6 * 4 * 4)
    for p in network.populations:
        assert (p.decay == 0.25).all() and (p.gain == 1.0).all() and (p.v_threshold > 1).all()


def test_the_seed_determines_the_weights():
    made = []
    for seed in (0, 0, 1):
        graph = initial_graph(parse_layers("5-C", 2), (1, 3, 3), beta=0.5, seed=seed)
        affine = graph.nodes["affine_1"]
        assert isinstance(affine, nir.Affine)
        made.append(affine.weight)
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_each_layer_divides_its_neurons_among_the_leaks():
    """Five neurons, two leaks: ⌊2 i/5⌋ = 0, 0, 0, 1, 1; four channels, 0, 0, 1, 1; classes, 0."""
    graph = initial_graph(parse_layers("4c3-5-C", 3), (1, 4, 4), beta=(0.75, 0.5))
    decays = {p.name: p.decay for p in lower(graph).populations}
    assert decays["lif_1"].tolist() == [0.25] * 32 + [0.5] * 32
    assert decays["lif_2"].tolist() == [0.25] * 3 + [0.5] * 2
    assert decays["lif_3"].tolist() == [0.25] * 3
    assert all((p.gain == 1).all() for p in lower(graph).populations)


def test_a_layer_with_fewer_neurons_than_leaks_is_refused():
    with pytest.raises(UserError, match="--beta has 3 values, layer 1 of --layers has 2 channels"):
        initial_graph(parse_layers("2c3-9-C", 3), (1, 4, 4), beta=(0.75, 0.5, 0.25))
    with pytest.raises(UserError, match="layer 2 of --layers has 2 neurons"):
        initial_graph(parse_layers("3c3-2-C", 3), (1, 4, 4), beta=(0.75, 0.5, 0.25))


@pytest.mark.parametrize("text", ["p20-C", "p2-p2-C"])
def test_a_window_larger_than_its_input_is_refused(text: str):
    with pytest.raises(UserError, match="larger than its input"):
        initial_graph(parse_layers(text, 2), (2, 3, 3), beta=0.5)
