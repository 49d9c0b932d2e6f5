"""lava-dl's netx: its file against a loop over the file alone, its runs against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hardware.fixed_point.integers import IntegerNetwork, IntegerSynapses
from hardware.fixed_point.quantise import quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import lower
from hardware.lava import netx_backend
from hardware.lava.netx import _weight, check_sums, netx_layers, write_hdf5
from hardware.lava.netx_backend import netx, require_netx
from hardware.netx import main
from hardware.reference_float import reference_float
from mdft.errors import UserError
from tests.hardware.nets import grids, random_graph, random_inputs, write_probe
from tests.hardware.netx_plain import run_file


def case(seed: int, layers: int, beta: float = 0.5) -> tuple[IntegerNetwork, dict]:
    rng = np.random.default_rng(seed)
    network = lower(random_graph(rng, layers=layers, beta=beta))
    return quantise(network, grids()), random_inputs(rng, batch=4, steps=7)


@pytest.mark.parametrize(("seed", "layers", "beta"), [(0, 1, 0.5), (2, 3, 0.5), (3, 3, 0.75)])
def test_the_file_alone_holds_the_whole_network(tmp_path, seed: int, layers: int, beta: float):
    integers, inputs = case(seed, layers, beta)
    write_hdf5(integers, tmp_path / "a.net")
    expected = reference_int(integers, inputs)
    spikes, membranes = run_file(tmp_path / "a.net", inputs)
    for name, s, v in zip(expected.spikes, spikes, membranes, strict=True):
        assert 0.02 < expected.spikes[name].mean() < 0.6
        np.testing.assert_array_equal(s, expected.spikes[name])
        np.testing.assert_array_equal(v, expected.membranes[name])
    write_hdf5(integers, tmp_path / "b.net")
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.net", "b.net"]


@pytest.mark.lava
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "layers", "beta"), [(0, 1, 0.5), (2, 3, 0.5), (3, 3, 0.75)])
def test_netx_is_the_integer_reference(seed: int, layers: int, beta: float):
    integers, inputs = case(seed, layers, beta)
    found, expected = netx(integers, inputs), reference_int(integers, inputs)
    assert set(found.membranes) == set(expected.membranes) and found.units == expected.units
    for name in expected.spikes:
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])
        np.testing.assert_array_equal(found.membranes[name], expected.membranes[name])


def split(integers: IntegerNetwork) -> IntegerNetwork:
    """Every matrix as its positive and its negative weights, as quantise does at nine bits."""
    populations = []
    for p in integers.populations:
        parts = [
            replace(s, weight=part)
            for s in p.synapses
            for part in (np.maximum(s.weight, 0), np.minimum(s.weight, 0))
            if part.any()
        ]
        populations.append(replace(p, synapses=tuple(parts)))
    return replace(integers, populations=tuple(populations))


@pytest.mark.lava
@pytest.mark.slow
def test_weights_split_by_their_sign(tmp_path):
    whole, inputs = case(8, 2)
    integers, expected = split(whole), reference_int(whole, inputs)
    assert len(integers.populations[1].synapses) > len(whole.populations[1].synapses)
    write_hdf5(integers, tmp_path / "a.net")
    spikes, _ = run_file(tmp_path / "a.net", inputs)
    found = netx(integers, inputs)
    for name, s in zip(expected.spikes, spikes, strict=True):
        np.testing.assert_array_equal(s, expected.spikes[name])
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])
        np.testing.assert_array_equal(found.membranes[name], expected.membranes[name])


@pytest.mark.lava
@pytest.mark.slow
def test_a_current_with_memory():
    """netx's iDecay is du + 1."""
    plain, inputs = case(10, 2)
    integers = changed(plain, 1, du=2047)
    found, expected = netx(integers, inputs), reference_int(integers, inputs)
    assert (expected.spikes["lif_2"] != reference_int(plain, inputs).spikes["lif_2"]).any()
    np.testing.assert_array_equal(found.spikes["lif_2"], expected.spikes["lif_2"])
    np.testing.assert_array_equal(found.membranes["lif_2"], expected.membranes["lif_2"])


@pytest.mark.subprocess
@pytest.mark.lava
@pytest.mark.slow
def test_netx_in_lavas_own_runtime():
    integers, inputs = case(4, 2)
    found, expected = netx(integers, inputs, "process"), reference_int(integers, inputs)
    for name in expected.spikes:
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])


WEIGHTS = st.builds(
    lambda k, shift: k << shift,
    arrays.arrays(np.int64, (3, 2), elements=st.integers(-140, 140)),
    st.integers(0, 3),
)


@pytest.mark.lava
@pytest.mark.slow
@settings(max_examples=300)
@given(weight=WEIGHTS, sign=st.sampled_from(["any", "plus", "minus"]))
def test_netx_keeps_every_weight_that_is_accepted(weight: np.ndarray, sign: str):
    """Through netx's scaling to 8 bits and the clipping and truncation of Lava's Dense."""
    require_netx()
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils import weightutils

    weight = {"any": 2 * weight, "plus": np.abs(weight), "minus": -np.abs(weight)}[sign]
    try:
        accepted = _weight("lif", IntegerSynapses("x", weight, 0, True))
    except UserError:
        return
    with np.errstate(divide="ignore"):
        scaled, bits, exponent, _ = optimize_weight_bits(accepted)
    mode = weightutils.determine_sign_mode(scaled)
    kept = weightutils.truncate_weights(weightutils.clip_weights(scaled, mode, 8), mode, bits)
    np.testing.assert_array_equal(np.asarray(kept) >> -exponent, weight)


@pytest.mark.parametrize(
    ("weight", "exponent", "word"),
    [
        ([[2, -4]], 6, "lif: weights from 'x' reach 256 units, expected at most 254"),
        ([[2, 4]], 6, "lif: weights from 'x' reach 256 units, expected at most 255"),
        ([[0, -131]], 0, "inhibitory down to -131; netx's scaling changes them"),
        ([[0, 0]], 0, "all 0"),
        ([[-2, 0]], 0, "inhibitory down to -2"),
        ([[-64, -3]], 0, "inhibitory down to -64"),
    ],
)
def test_weights_that_netx_gets_wrong_are_refused(weight: list, exponent: int, word: str):
    with pytest.raises(UserError, match=word):
        _weight("lif", IntegerSynapses("x", np.array(weight), exponent, True))


def changed(integers: IntegerNetwork, i: int, **fields) -> IntegerNetwork:
    populations = list(integers.populations)
    populations[i] = replace(populations[i], **fields)
    return replace(integers, populations=tuple(populations))


def test_what_is_no_chain_is_refused_by_name(tmp_path):
    integers, inputs = case(5, 3)
    first, second, third = integers.populations
    skip = IntegerSynapses("lif_1", np.full((third.size, first.size), 2), 0, False)
    for broken, word in (
        (changed(integers, 2, synapses=(*third.synapses, skip)), "lif_3: the edge from 'lif_1'"),
        (changed(integers, 1, synapses=first.synapses), "lif_2: no edge from 'lif_1'"),
        (changed(integers, 2, fires=False), "lif_3: sends its membrane"),
        (changed(integers, 1, bias_mant=second.bias_mant * 0 + 33, bias_exp=0), "lif_2: bias is"),
        (changed(integers, 1, bias_mant=second.bias_mant * 0 + 4095, bias_exp=7), "lif_2: bias r"),
    ):
        with pytest.raises(UserError, match=word):
            netx(broken, inputs)
        with pytest.raises(UserError, match=word):
            write_hdf5(broken, tmp_path / "x.net")
    early = replace(integers, source=replace(integers.source, outputs={"out": "lif_1"}))
    with pytest.raises(UserError, match="output 'out' carries 'lif_1'"):
        netx(early, inputs)
    assert not list(tmp_path.iterdir())


def test_sums_beyond_32_bits_are_refused():
    layers = netx_layers(case(6, 1)[0])
    check_sums(layers, {"events": 63})
    with pytest.raises(UserError, match="lif_1: its sums could reach"):
        check_sums(layers, {"events": 1 << 22})


def test_without_lava_dl_one_line_says_so(monkeypatch):
    def absent(name: str):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(netx_backend, "require_lava", lambda: None)
    monkeypatch.setattr(netx_backend.importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"No module named 'lava.lib.*it needs lava-dl"):
        require_netx()


def test_unknown_runtime():
    with pytest.raises(UserError, match="inline"):
        netx(*case(9, 1), "chip")


def test_command_line(tmp_path, capsys):
    rng = np.random.default_rng(7)
    graph, probe, out = (tmp_path / n for n in ("motion_audio.nir", "probe.npz", "a.net"))
    net = random_graph(rng, layers=2)
    nir.write(graph, net)
    inputs = random_inputs(rng)
    write_probe(probe, "audio", inputs, reference_float(lower(net), inputs))
    assert main([str(graph), str(probe), str(out)]) == 0
    assert "a.net: 2 dense blocks" in capsys.readouterr().out
    file: Any
    with h5py.File(out) as file:
        assert file["layer/0/name"].asstr()[()] == "events"
    for words, said in (
        ([str(graph), str(probe), str(tmp_path)], "expected a file in a folder"),
        ([str(graph), str(tmp_path / "no.npz"), str(out)], "no.npz"),
        ([str(tmp_path / "x.nir"), str(probe), str(out)], "cannot be opened"),
        ([str(graph)], "PROBE"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and said in error, error
