"""The checks of a .nir file's HDF5: what each answers, word for word, and where it begins."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hardware.graph import structure as nir_structure
from hardware.graph.structure import read_structure
from mdft.errors import UserError
from tests.hardware.broken_files import CHAIN, NODES, STRUCTURE, Change, edges, metadata, replaced
from tests.hardware.graph.test_graph import affine, lif, single


@pytest.mark.parametrize("case", STRUCTURE)
def test_a_structure_is_refused_word_for_word(good: Path, case: str):
    """In this process, for speed; `test_hostile_nir.test_through_the_child` goes the whole way."""
    change, message = STRUCTURE[case]
    with h5py.File(good, "r+") as file:
        change(file)
    with pytest.raises(UserError) as caught:
        read_structure(good)
    assert str(caught.value) == message


def test_every_array_comes_back_under_its_name(good: Path):
    good.chmod(0o444)
    found = read_structure(good).arrays()
    graph = single(a=affine(), n=lif(3))
    expected = {"edges": np.array(graph.edges)}
    for name, kind in {"in": "Input", "a": "Affine", "n": "LIF", "out": "Output"}.items():
        expected[f"{name}/type"] = np.array(kind)
    expected |= {"in/shape": np.array([2]), "out/shape": np.array([3])}
    expected |= {f"a/{x}": getattr(affine(), x) for x in ("weight", "bias")}
    fields = ("tau", "r", "v_leak", "v_reset", "v_threshold")
    expected |= {f"n/{x}": getattr(lif(3), x) for x in fields}
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        np.testing.assert_array_equal(found[key], value)


JUST_WITHIN: dict[str, Change] = {
    "a version of 64 more characters": replaced("version", data="1.0" + "x" * 64),
    "text of 256 bytes": replaced("node/nodes/a/type", data=np.array(b"Affine", "S256")),
    "ends of 256 bytes": replaced("node/edges", data=np.array(CHAIN, "S256")),
    "eight values": replaced("node/nodes/in/shape", data=[1] * 8),
    "integers as bias": replaced(f"{NODES}/a/bias", data=np.arange(3)),
    "1024 metadata": metadata("node", 1024),
    "1024 metadata of a node": metadata(f"{NODES}/a", 1024),
    "no metadata at all": replaced("node/metadata"),
    "no v_reset": replaced(f"{NODES}/n/v_reset"),
    "a name of 128 characters": lambda file: [
        file.move(f"{NODES}/a", f"{NODES}/" + "a" * 128),
        edges(("in", "a" * 128), ("a" * 128, "n"), ("n", "out"))(file),
    ],
}


@pytest.mark.parametrize("case", JUST_WITHIN)
def test_what_lies_just_within_is_read(good: Path, case: str):
    with h5py.File(good, "r+") as file:
        JUST_WITHIN[case](file)
    assert len(read_structure(good).edges) == 3


def test_two_ends_and_an_edge_are_a_graph(good: Path):
    with h5py.File(good, "r+") as file:
        edges(("in", "out"))(file)
        del file[f"{NODES}/a"], file[f"{NODES}/n"]
    assert read_structure(good).edges == [("in", "out")]


@pytest.mark.parametrize(
    ("limit", "least", "message"),
    [
        ("MAX_NODES", 4, "4 nodes, expected 1 to 3"),
        ("MAX_EDGES", 3, "edges are object(3, 2), expected (n, 2) names, n from 1 to 2"),
        # 6 + 3 of the Affine, 5·3 of the LIF, a shape each of the ends, a type of each but the last
        ("MAX_VALUES", 29, "out.shape: more than 28 values, expected fewer"),
    ],
)
def test_a_file_may_be_as_large_as_the_limit(
    good: Path, monkeypatch: pytest.MonkeyPatch, limit: str, least: int, message: str
):
    monkeypatch.setattr(nir_structure, limit, least)
    read_structure(good)
    monkeypatch.setattr(nir_structure, limit, least - 1)
    with pytest.raises(UserError) as caught:
        read_structure(good)
    assert str(caught.value) == message
