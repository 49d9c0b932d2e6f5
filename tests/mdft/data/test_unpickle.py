"""Pickles: what the published tools write is read; anything that could run code is refused."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdft.data.files.unpickle import load, load_npy
from mdft.errors import UserError
from tests.mdft.data.pickles import Runs, array_program, tuples_of_tuples


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


CONTENT = {
    "features": [
        np.arange(6, dtype="f4").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype="f8").reshape(2, 3)),
        np.arange(12, dtype="u1").reshape(3, 4)[:, ::2],
        np.arange(4, dtype=">f4").reshape(2, 2),
        np.array([True, False]),
        np.array(2.5, dtype="f2"),
        np.zeros((3, 0), dtype="i8"),
    ],
    "video_names": np.array([b"a", b"bc"], dtype="S80"),
    "more": [np.array(["ä", "b"]), [1, -(2**70), 1.5, None, True, "s", b"b"], []],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_arrays_of_every_protocol_and_numpy(tmp_path: Path, protocol: int, core: bytes):
    # Before protocol 3 an array without elements is a call of `bytes`, which we do not admit.
    content = {**CONTENT, "features": CONTENT["features"][: None if protocol > 2 else -1]}
    written = pickle.dumps(content, protocol)
    if protocol < 4:  # the later ones prefix names with their length
        written = written.replace(b"numpy._core", core).replace(b"numpy.core", core)
    path = tmp_path / "x.pkl"
    path.write_bytes(written)
    assert same(load(path), content)


def test_numpy_scalars_and_objects_become_plain(tmp_path: Path):
    path = tmp_path / "x.pkl"
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.zeros((2, 3)), np.ones((1, 3))]
    content = {"a": np.float32(1.5), "b": np.str_("x"), "c": np.bytes_(b"y"), "d": ragged}
    path.write_bytes(pickle.dumps(content))
    found = load(path)
    assert (found["a"], found["b"], found["c"]) == (1.5, "x", b"y")
    assert [f.shape for f in found["d"]] == [(2, 3), (1, 3)] and (found["d"][1] == 1).all()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_one_array_in_two_places_is_read_twice(tmp_path: Path, protocol: int):
    """Large: protocol 4 begins a frame between it and its memo number."""
    path = tmp_path / "x.pkl"
    array, text = np.arange(30_000, dtype="f8"), "x" * 200_000
    path.write_bytes(pickle.dumps([array, array, text, text, [1], {}], protocol))
    assert same(load(path), [array, array, text, text, [1], {}])


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_plain_values_come_back_as_they_were(tmp_path_factory, value: Any):
    path = tmp_path_factory.getbasetemp() / "plain.pkl"
    path.write_bytes(pickle.dumps(value))
    assert load(path) == value


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (Runs(os.system, "touch PWNED"), r"posix\.system"),
        (Runs(eval, "1"), r"builtins\.eval"),
        (Runs(getattr, 1, "real"), r"builtins\.getattr"),
        (Runs(np.load, "x.npy"), r"numpy\.load"),
        (Runs(np.memmap, "x"), r"numpy\.memmap"),
        (Runs(bytearray, 10**12), r"builtins\.bytearray"),
        (Runs(np.ndarray, (10**12,)), r"a call of numpy\.ndarray"),
        (collections.OrderedDict(a=1), r"collections\.OrderedDict"),
        (Path("x"), r"pathlib\.\S*PosixPath"),
        (1j, r"builtins\.complex"),
        (np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), "expected plain numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "expected plain numbers"),
        (np.array([1j]), "expected plain numbers"),
        (np.array([os.system], dtype=object), r"posix\.system"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, monkeypatch, hostile: Any, named: str):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"features": [hostile]}))
    with pytest.raises(UserError, match=named) as refused:
        load(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "PWNED").exists()


def test_a_torch_tensor_is_refused_by_name(tmp_path: Path):
    import torch

    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([torch.zeros(2)]))
    with pytest.raises(UserError, match=r"torch\.\S+; only numpy arrays"):
        load(path)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"xx.", "expected 1099511627776 bytes"),
        (b"\x80\x04\x96" + struct.pack("<Q", 2**62) + b"xx.", "damaged"),
        (b"\x80\x04]r" + struct.pack("<I", 2**31) + b".", "memo number 2147483648"),
        (b"\x80\x02K\x01\x82\x01.", "damaged"),
        (b"\x80\x04]\x94h\x00a.", "contains itself"),
        (b"(" * 100_000 + b"]" * 100_000 + b"a" * 99_999 + b".", "damaged"),
        (b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n}\x8c\x01ak\x01sb.", "damaged"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(N}S'_call'\nI1\nstb.", "assignment to _call"),
        (array_program(b"f4", b"1000000000000"), r"shape \(1000000000000,\) with 0 bytes"),
        (array_program(b"S0", b"1000000000000"), r"shape \(1000000000000,\) with 0 bytes"),
        (array_program(b"f4", b"-1"), r"shape \(-1,\) with 0 bytes"),
        (array_program(b"O", b"2", b"(lI1\na"), r"shape \(2,\) with other contents"),
        (array_program(b"V8", b"1"), "an array of 'V8'"),
        (array_program(b"f4", b"1\nI" * 32 + b"1"), "an array of 33 axes"),
        (array_program(b"f4", b"9" * 30), "or one that is too long"),
        (tuples_of_tuples(b""), "a tuple in two places"),
        (tuples_of_tuples(b"N0"), "a tuple in two places"),
        (tuples_of_tuples(b"Nb"), "a tuple in two places"),
        (tuples_of_tuples(b"(e"), "a tuple in two places"),
        (b"\x80\x02)" + b"2\x86" * 60 + b"}q\x00q\x01.", "a tuple in two places"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO\ntR(lI1\natR.", "scalar object"),
        (b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", "a number of 2039 bits"),
        (b"c_codecs\nencode\n(V\nVrot13\ntR.", "rot13"),
        (b"Pid\n.", "persistent"),
        (b"not a pickle", "damaged"),
        (b"", "empty"),
    ],
)
def test_a_program_made_by_hand_is_refused_in_one_line(tmp_path: Path, program: bytes, why: str):
    path = tmp_path / "x.pkl"
    path.write_bytes(program)
    with pytest.raises(UserError, match=why) as refused:
        load(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_every_cut_of_a_file_is_refused(tmp_path: Path):
    whole = pickle.dumps(CONTENT)
    path = tmp_path / "x.pkl"
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="damaged"):
            load(path)


@given(st.data())
def test_no_flipped_bit_does_worse_than_a_refusal(tmp_path_factory, data):
    whole = bytearray(pickle.dumps(CONTENT))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped.pkl"
    path.write_bytes(whole)
    try:
        load(path)
    except UserError as error:
        assert "flipped.pkl" in str(error)


def npy(content: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, content, allow_pickle=True)
    return file.getvalue()


def test_a_dict_in_an_npy_file(tmp_path: Path):
    path = tmp_path / "words.npy"
    content = {"Apply Eye Makeup": np.arange(3, dtype="f4"), "nan": np.ones(3, dtype="f4")}
    path.write_bytes(npy(np.array(content, dtype=object)))
    assert same(load_npy(path), content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (npy(np.array({"a": Runs(os.system, "touch PWNED")}, dtype=object)), r"posix\.system"),
        (npy(np.zeros(3)), r"float64 \(3,\), expected one pickled dict"),
        (npy(np.array({"a": 1}, dtype=object))[:-10], "damaged"),
        (npy(np.zeros(3)).replace(b"(3,), }", b"(1099511627776,), }"[:7]), "not an .npy|expected"),
        (b"\x93NUMPY\x01\x00\xff\xff{'descr': '|O'", "not an .npy file"),
        (b"PK\x03\x04", "not an .npy file"),
        (b"", "not an .npy file"),
    ],
)
def test_a_hostile_npy_is_refused(tmp_path: Path, monkeypatch, content: bytes, why: str):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "words.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match=why) as refused:
        load_npy(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "PWNED").exists()


def test_an_npy_that_declares_terabytes_is_refused_unread(tmp_path: Path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header = header.ljust(117) + b"\n"
    path = tmp_path / "words.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(UserError, match=r"float64 \(1000000000000,\), expected one pickled dict"):
        load_npy(path)
