"""A .nir file from a stranger: every one answered by one line, in bounded time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import psutil
import pytest

from hardware.graph import file as nir_file
from hardware.graph.file import read_nir
from hardware.graph.graph import lower, read_network
from mdft.errors import UserError
from tests.hardware.broken_files import STRUCTURE, WEIGHT, replaced
from tests.hardware.graph.test_graph import lif, refuse_file

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("shape", [(1 << 32, 1 << 32), (1 << 62, 3), (1 << 14, 1 << 14)])
def test_a_shape_whose_product_overflows_is_refused(tmp_path: Path, shape: tuple[int, ...]):
    size = np.array(shape)
    nodes = {"in": nir.Input({"input": size}), "out": nir.Output({"output": size})}
    nir.write(tmp_path / "g.nir", nir.NIRGraph(nodes, [("in", "out")], type_check=False))
    refuse_file(tmp_path / "g.nir", f"'in' has shape {shape}, expected at most")


@pytest.mark.parametrize("case", ["terabytes declared", "10 MB name in an edge", "self loop"])
def test_through_the_child(good: Path, case: str):
    change, word = STRUCTURE[case]
    with h5py.File(good, "r+") as file:
        change(file)
    refuse_file(good, word)


def test_what_is_no_graph_is_refused(tmp_path: Path, good: Path):
    refuse_file(tmp_path / "missing.nir", "cannot be opened")
    refuse_file(tmp_path, "a folder, pipe or device")
    os.mkfifo(tmp_path / "pipe.nir")
    refuse_file(tmp_path / "pipe.nir", "a folder, pipe or device")
    text = tmp_path / "text.nir"
    text.write_text("hello")
    refuse_file(text, "not a readable .nir")
    whole = good.read_bytes()
    for cut in (whole[512:], whole[:-900], whole[: len(whole) // 2]):
        text.write_bytes(cut)
        refuse_file(text)


def test_a_gzip_bomb_is_refused_by_its_declared_size(good: Path):
    """2**26 zeros are a few kilobytes here; with the other fields they are too many."""
    with h5py.File(good, "r+") as file:
        zeros = {"shape": (1 << 13, 1 << 13), "dtype": "f4", "chunks": (1 << 13, 1)}
        replaced(WEIGHT, **zeros, compression="gzip")(file)
    assert good.stat().st_size < 1 << 20
    refuse_file(good, "more than 67108864 values")


def test_small_files_of_large_products_are_refused():
    """W2·W1 of 1×20000 and 20000×1, and hundreds of smaller ones."""

    thin, tall = np.ones((1, 20_000), np.float32), np.ones((20_000, 1), np.float32)
    product = nir.NIRGraph.from_list(nir.Linear(thin), nir.Linear(tall), lif(20_000))
    with pytest.raises(UserError, match="node 'linear_1' needs matrices of 400000000 values"):
        lower(product)
    identity = lower(nir.NIRGraph.from_list(lif(10_000))).populations[0].synapses[0].weight
    assert identity.nnz == 10_000  # sparse
    many = nir.NIRGraph.from_list(*(lif(200) for _ in range(60)))
    with pytest.raises(UserError, match="matrices hold 1080000 values, expected at most 1048576"):
        lower(many, max_synapses=1 << 20)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed (signal 11)"),
        ("while True: pass", "more than 0.6 s of processor time"),
        ("import time; time.sleep(60)", "took more than 2 s"),
        ("x = bytearray(3 << 30)", "more than 2 GiB of memory"),
        ("import numpy as np; arrays = {'edges': np.zeros((1, 1))}", "nir refuses it"),
    ],
)
def test_a_crash_or_a_hang_of_hdf5_is_one_line(tmp_path, monkeypatch, text: str, word: str):
    """In the parser's place the file itself decides what happens; the limits are the parser's."""
    monkeypatch.setattr(nir_file, "CHILD", "tests.mdft.runs_the_file")
    if "sleep" in text:
        monkeypatch.setattr(nir_file, "WAIT_S", 2)
        monkeypatch.setattr(nir_file, "WAIT", 0)
    file = tmp_path / "g.nir"
    file.write_text(text)
    refuse_file(file, word)


FUZZ = """
import signal, sys
from pathlib import Path
from mdft.errors import UserError
from hardware.graph.structure import read_structure

folder, first = Path(sys.argv[1]), int(sys.argv[2])
for i in range(first, len(list(folder.glob("*.nir")))):
    print(i, end=" ", flush=True)
    signal.alarm(1)
    try:
        read_structure(folder / f"{i}.nir")
        print("read", flush=True)
    except UserError:
        print("refused", flush=True)
    except Exception:
        print("unreadable", flush=True)
"""


def fuzzed(folder: Path, whole: bytes, count: int) -> None:
    rng = np.random.default_rng(7)
    for i in range(count):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[at] ^= 1 << int(rng.integers(8))
        (folder / f"{i}.nir").write_bytes(data)


def test_flipped_bits(good: Path, tmp_path: Path):
    """200 corruptions in one worker; where it died or hung, the reader itself must answer.

    What is read all the same is finite and within bounds, or refused when lowered.
    """
    folder, count = tmp_path / "fuzz", 200
    folder.mkdir()
    fuzzed(folder, good.read_bytes(), count)
    said: dict[int, str] = {}
    while len(said) < count:
        done = subprocess.run(
            [sys.executable, "-c", FUZZ, str(folder), str(len(said))],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        for line in done.stdout.splitlines():
            index, _, word = line.partition(" ")
            said[int(index)] = word.strip() or f"died {done.returncode}"
        assert done.stdout, done.stderr
    for i in [i for i, word in said.items() if word.startswith("died")][:2]:
        refuse_file(folder / f"{i}.nir")
    read = [i for i, word in said.items() if word == "read"]
    assert 10 < len(read) < 190, len(read)  # else the test shows nothing
    for i in read[:4]:
        try:
            network = read_network(folder / f"{i}.nir")
        except UserError as error:
            assert str(folder) in str(error)
            continue
        for p in network.populations:
            assert np.isfinite(p.decay).all() and ((p.decay > 0) & (p.decay <= 1.000001)).all()


def test_the_child_leaves_nothing(good: Path):
    before = psutil.Process().children(recursive=True)
    assert set(read_nir(good).nodes) == {"in", "a", "n", "out"}
    with h5py.File(good, "r+") as file:
        del file["version"]
    refuse_file(good, "version")
    assert psutil.Process().children(recursive=True) == before
