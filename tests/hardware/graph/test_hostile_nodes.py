"""Files that ask for too much with a few bytes: one line, exit status 2, before memory is used."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from hardware import run
from hardware.graph.graph import lower
from hardware.graph.topology import back_edges, topological
from hardware.lava.plan import plan_float
from mdft.errors import UserError

DT = 1e-4
TEXT = h5py.string_dtype()


def neuron(*shape: int) -> nir.LIF:
    one = np.ones(shape, np.float32)
    return nir.LIF(2 * DT * one, 2 * one, 0 * one, one, 0 * one)


def chain(*nodes: nir.NIRNode, shape: tuple[int, ...] = (2,)) -> nir.NIRGraph:
    """An Input, the nodes in a row, an Output of the same shape."""
    size = np.array(shape)
    row = [nir.Input({"input": size}), *nodes, nir.Output({"output": size})]
    named = {f"n{i}": node for i, node in enumerate(row)}
    names = list(named)
    return nir.NIRGraph(named, list(itertools.pairwise(names)), type_check=False)


def refuse(path: Path, capsys: pytest.CaptureFixture[str], words: str, *flags: str) -> None:
    arguments = [str(path), str(path.parent / "probe.npz"), "--backend", "reference_int", *flags]
    assert run.main(arguments) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1 and words in text, text


@pytest.mark.subprocess
def test_a_cycle_through_100_000_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, count = tmp_path / "g.nir", 100_000
    nir.write(path, chain(neuron(2)))
    with h5py.File(path, "r+", libver="latest") as file:
        nodes: Any = file["node/nodes"]
        for i in range(2, count):
            nodes.id.links.create_hard(b"c%d" % i, nodes.id, b"n1")  # each is a LIF
        edges = [["n0", "c2"], *([f"c{i}", f"c{i + 1}"] for i in range(2, count - 1))]
        del file["node/edges"]
        whole = np.array([*edges, [f"c{count - 1}", "c2"]], "S8")
        file.create_dataset("node/edges", data=whole.astype(object), dtype=TEXT)
    refuse(path, capsys, "100001 nodes, expected 1 to 1024")


@pytest.mark.parametrize("neurons", [0, 1])
def test_the_order_of_a_cycle_of_100_000_nodes(neurons: int):
    """Neither recursion nor a search that starts again at each node."""
    names = [f"c{i}" for i in range(100_000)]
    edges = [*itertools.pairwise(names), (names[-1], "c1"), ("x", "c0")]
    firing = names[50_000 : 50_000 + neurons]
    if not neurons:
        with pytest.raises(UserError, match="form a cycle without a neuron") as caught:
            back_edges(["x", *names], edges, ["x"], firing)
        assert len(str(caught.value)) < 300
        return
    back = back_edges(["x", *names], edges, ["x"], firing)
    assert back == {("c99999", "c1")}
    order = topological(["x", *names], [e for e in edges if e not in back])
    assert order == ["x", *names]


@pytest.mark.subprocess
def test_graphs_nested_1_000_deep(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each with an Input and an Output; nir.write itself would exceed Python's stack."""
    path = tmp_path / "g.nir"
    nir.write(path, chain(neuron(2)))
    with h5py.File(path, "r+") as file:
        outer: Any = file["node/nodes"]
        inner = outer
        for _ in range(1000):
            del inner["n1"]
            graph = inner.create_group("n1")
            graph["type"] = "NIRGraph"
            graph["edges"] = file["node/edges"]
            inner = graph.create_group("nodes")
            for name in ("n0", "n2"):
                inner[name] = outer[name]
            inner["n1"] = outer["n0"]  # until the next graph takes its place
    refuse(path, capsys, "1026 nodes, expected 1 to 1024")


@pytest.mark.subprocess
def test_a_delay_of_a_billion_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "g.nir"
    nir.write(path, chain(nir.Delay(np.array([0.0, 1e9 * DT])), neuron(2)))
    refuse(path, capsys, "n1.delay runs from 0 to 100000 s, expected 0 to 65536 steps of 0.0001 s")


def test_a_delay_of_its_own_for_each_of_many_channels():
    """4 MB of delays; their matrices would have 2**19 · 2**16 ends of rows, 256 GB."""
    count = 1 << 19
    delays = DT * (np.arange(count) % (1 << 16))
    graph = chain(nir.Delay(delays), neuron(count), shape=(count,))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="node 'n1' needs matrices of 34359738368 values"):
            lower(graph, DT)
        assert tracemalloc.get_traced_memory()[1] < 1 << 28
    finally:
        tracemalloc.stop()


def test_a_delay_of_many_steps_in_lava():
    """Not with tens of thousands of processes, nor with a recursion as deep."""
    graph = chain(neuron(2), nir.Delay(np.full(2, 3000 * DT)), neuron(2))
    words = "n1: its spikes are delayed by 2999 steps; Lava takes a Dense for each step of a delay"
    with pytest.raises(UserError, match=words):
        plan_float(lower(graph, DT), {"n0": np.ones((1, 4, 2))})


@pytest.mark.subprocess
def test_the_limit_on_synapses_is_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A kernel of 200 values slides over 10⁶ positions: 2·10⁸ synapses, refused before they are."""
    path = tmp_path / "g.nir"
    kernel = np.ones((1, 8, 5, 5), np.float32)
    conv = nir.Conv2d((1000, 1000), kernel, 1, "same", 1, 1, np.zeros(1, np.float32))
    nir.write(path, chain(conv, shape=(8, 1000, 1000)))
    refuse(path, capsys, "node 'n1' needs matrices of 200000000 values, expected at most 134217728")
    small = nir.Conv2d((4, 4), kernel[:, :2], 1, "same", 1, 1, np.zeros(1, np.float32))
    graph = chain(small, neuron(1, 4, 4), shape=(2, 4, 4))
    graph.nodes["n3"] = nir.Output({"output": np.array([1, 4, 4])})
    nir.write(path, graph)
    refuse(path, capsys, "of 512 values, expected at most 511", "--max-synapses", "511")
    assert lower(graph, DT, max_synapses=512).populations[0].synapses[0].weight.nnz == 2 * 14 * 14


def test_a_matrix_that_a_population_takes_as_it_is_counts_once():
    graph = chain(nir.Linear(np.ones((2, 2), np.float32)), neuron(2))
    lower(graph, DT, max_synapses=4)
    with pytest.raises(UserError, match="needs matrices of 4 values, expected at most 3"):
        lower(graph, DT, max_synapses=3)
