"""Graphs in other tools' forms give the spikes of the plain form."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.backends import find_backend, prepare
from hardware.fixed_point.quantise import input_grids
from hardware.graph.graph import read_network
from hardware.graph.network import Network, Recording
from tests.hardware.any_graph import DT, any_inputs, random_any
from tests.hardware.graph.other_forms import Tree, disguised, nested, tree, wrapped, write
from tests.hardware.graph.test_graph import refuse_file

N, M = 4, 3
WEIGHT = np.random.default_rng(5).normal(0.5, 1, (N, M)).astype(np.float32)
ONE = np.ones(N, np.float32)
Changes = dict[str, dict[str, np.ndarray | None]]


def run(network: Network, inputs: dict[str, np.ndarray], backend: str) -> Recording:
    found = find_backend(backend)
    prepared = prepare(found, network, input_grids(inputs))
    return found.run(prepared, inputs, "inline")


def same(found: Recording, expected: Recording) -> None:
    """Equal spikes and membranes; a flattened node keeps its own name behind the last dot."""
    for name in ("spikes", "membranes"):
        plain = getattr(expected, name)
        other = {k.rpartition(".")[2]: v for k, v in getattr(found, name).items()}
        assert set(other) == set(plain)
        for k, values in plain.items():
            np.testing.assert_array_equal(other[k], values, err_msg=k)


def check(folder: Path, seed: int, form: int, blocks: int, *backends: str) -> None:
    """A random graph on a grid, where every sum is exact, beside the same in another form."""
    graph = random_any(seed, lava=True)
    rng = np.random.default_rng(form)
    other = disguised(nested(tree(graph), rng, blocks), rng)
    # Within the graphs, too.
    for fields in other["nodes"].values():
        if fields["type"] == "NIRGraph":
            fields |= disguised(fields, rng)
    plain = read_network(write(folder / "plain.nir", tree(graph)), DT)
    found = read_network(write(folder / "other.nir", other), DT)
    assert not plain.notes and (not blocks or "flattened: g" in found.notes[0])
    assert found.inputs == plain.inputs
    inputs = any_inputs(graph, seed)
    for backend in backends:
        same(run(found, inputs, backend), run(plain, inputs, backend))


# Seeds whose graphs fit into Loihi's integers, as those of tests/hardware/test_any_graph.py.
@given(st.integers(0, 29), st.integers(0, 2**32 - 1), st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_another_form_gives_the_same_spikes(tmp_path_factory, seed: int, form: int, blocks: int):
    folder = tmp_path_factory.mktemp("forms")
    check(folder, seed, form, blocks, "reference_float", "reference_int")


@pytest.mark.lava
@pytest.mark.parametrize("seed", range(4))
def test_another_form_gives_the_same_spikes_in_lava(tmp_path: Path, seed: int):
    check(tmp_path, seed, seed, 4, "reference_int", "lava_fixed", "lava_float")


def chain(changes: Changes | None = None) -> Tree:
    """input (M) → fc → n (a CubaLIF) → s (Scale) → t (Threshold) → output (N), N = 4 and M = 3.

    `changes` replaces fields of nodes; None deletes one.
    """
    nodes: Tree = {
        "input": {"type": "Input", "shape": np.array([M])},
        "fc": {"type": "Affine", "weight": WEIGHT, "bias": ONE / 4},
        "n": {
            "type": "CubaLIF",
            **{"tau_syn": 2e-4 * ONE, "tau_mem": 4e-4 * ONE, "r": 4 * ONE, "w_in": 2 * ONE},
            **{"v_leak": 0 * ONE, "v_reset": 0 * ONE, "v_threshold": ONE},
        },
        "s": {"type": "Scale", "scale": 1.5 * ONE},
        "t": {"type": "Threshold", "threshold": ONE / 2},
        "output": {"type": "Output", "shape": np.array([N])},
    }
    for name, fields in (changes or {}).items():
        nodes[name] = {k: v for k, v in (nodes[name] | fields).items() if v is not None}
    return {"type": "NIRGraph", "nodes": nodes, "edges": list(pairwise(nodes))}


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


SCALARS = {
    "tau_syn": number(2e-4),
    "tau_mem": number(4e-4),
    "r": number(4),
    "v_leak": np.array(0),
    "v_reset": number(0),
    "v_threshold": np.array(1),
    "w_in": number(2),
}
FORMS: dict[str, tuple[Changes, str]] = {
    "a batch of one, as Rockpool writes it": (
        {"input": {"shape": np.array([1, M])}, "output": {"shape": np.array([1, 1, N])}},
        "shapes were made plain: input (1, 3) to (3,), output (1, 1, 4) to (4,)",
    ),
    "a number as a shape": (
        {"input": {"shape": np.array(M)}, "output": {"shape": np.array(N)}},
        "",
    ),
    "numbers for all neurons, as snnTorch writes a scalar beta": (
        {"n": SCALARS},
        "shapes were made plain: n.tau_syn () to (4,), n.tau_mem () to (4,), n.r () to (4,), "
        "n.v_leak () to (4,) and 3 more",
    ),
    "one value for all neurons": (
        {"n": {"r": number(4).reshape(1), "v_threshold": number(1).reshape(1, 1)}},
        "shapes were made plain: n.r (1,) to (4,), n.v_threshold (1, 1) to (4,)",
    ),
    "columns and rows": (
        {"n": {"tau_syn": 2e-4 * ONE.reshape(N, 1), "w_in": 2 * ONE.reshape(1, N)}},
        "shapes were made plain: n.tau_syn (4, 1) to (4,), n.w_in (1, 4) to (4,)",
    ),
    "a weight with the shape of a kernel": (
        {"fc": {"weight": WEIGHT.reshape(N, M, 1, 1, 1), "bias": ONE.reshape(1, N) / 4}},
        "shapes were made plain: fc.weight (4, 3, 1, 1, 1) to (4, 3), fc.bias (1, 4) to (4,)",
    ),
    "numbers in Scale, Threshold and bias": (
        {
            "s": {"scale": number(1.5)},
            "t": {"threshold": number(0.5)},
            "fc": {"bias": number(0.25)},
        },
        "shapes were made plain: fc.bias () to (4,), s.scale () to (4,), t.threshold () to (4,)",
    ),
    "no shapes of the ends": (
        {"input": {"shape": None}, "output": {"shape": None}},
        "shapes were made plain: input without a shape to (3,), output without a shape to (4,)",
    ),
    "no v_reset and no w_in of 1": (
        {"n": {"v_reset": None, "w_in": None, "r": 8 * ONE}},
        "",
    ),
    "big-endian": (
        {"fc": {"weight": WEIGHT.astype(">f4")}, "n": {"r": (4 * ONE).astype(">f8")}},
        "",
    ),
}


def inputs_of(network: Network) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 2, (2, 30, w)) * 1.0 for name, w in network.inputs.items()}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_the_plain_one(tmp_path: Path, form: str):
    changes, note = FORMS[form]
    plain = read_network(write(tmp_path / "plain.nir", chain()), DT)
    found = read_network(write(tmp_path / "form.nir", chain(changes)), DT)
    assert plain.notes == () and found.notes == ((note,) if note else ())
    expected = run(plain, inputs_of(plain), "reference_float")
    assert 0.05 < expected.spikes["n"].mean() < 0.95
    same(run(found, inputs_of(found), "reference_float"), expected)


@pytest.mark.parametrize(("shape", "dims"), [((1, 2, 3), (1, -1)), ((2, 1, 3), (0, 2))])
def test_a_flatten_with_ones(tmp_path: Path, shape: tuple[int, ...], dims: tuple[int, int]):
    """Dimensions are counted with the ones; the values stay in C order."""
    weight = np.arange(6.0).reshape(1, 6)
    nodes: Tree = {
        "input": {"type": "Input", "shape": np.array(shape)},
        "flat": {
            "type": "Flatten",
            "input_type": np.array(shape),
            "start_dim": np.array(dims[0]),
            "end_dim": np.array(dims[1]),
        },
        "fc": {"type": "Linear", "weight": weight},
        "output": {"type": "Output", "shape": np.array([1])},
    }
    graph = {"type": "NIRGraph", "nodes": nodes, "edges": list(pairwise(nodes))}
    network = read_network(write(tmp_path / "g.nir", graph))
    x = np.random.default_rng(0).normal(size=(2, 3, 6))
    found = run(network, {"input": x}, "reference_float")
    np.testing.assert_allclose(found.membranes["output"], x @ weight.T)


def test_a_flatten_of_some_dimensions(tmp_path: Path):
    """(1, 2, 1, 3, 4), of which the second to the fourth are merged, is (2, 3, 4) to (6, 4)."""
    nodes: Tree = {
        "input": {"type": "Input", "shape": np.array([2, 3, 4])},
        "flat": {
            "type": "Flatten",
            "input_type": np.array([1, 2, 1, 3, 4]),
            "start_dim": np.array(1),
            "end_dim": np.array(-2),
        },
        "n": {"type": "Threshold", "threshold": np.arange(24.0).reshape(6, 4) + 1},
        "output": {"type": "Output", "shape": np.array([6, 4])},
    }
    graph = {"type": "NIRGraph", "nodes": nodes, "edges": list(pairwise(nodes))}
    network = read_network(write(tmp_path / "g.nir", graph))
    found = run(network, {"input": np.full((1, 1, 24), 12.5)}, "reference_float")
    assert found.spikes["n"].ravel().tolist() == [1] * 12 + [0] * 12


def test_the_default_flatten_of_a_vector_changes_nothing(tmp_path: Path):
    """torch.nn.Flatten() has start_dim 1; in NIR that lies behind the only dimension."""
    graph = chain()
    dims = {"start_dim": np.array(1), "end_dim": np.array(-1)}
    graph["nodes"]["flat"] = {"type": "Flatten", "input_type": np.array([M]), **dims}
    graph["edges"] = [("input", "flat"), ("flat", "fc"), *graph["edges"][1:]]
    found = read_network(write(tmp_path / "flat.nir", graph), DT)
    plain = read_network(write(tmp_path / "plain.nir", chain()), DT)
    same(*(run(x, inputs_of(x), "reference_float") for x in (found, plain)))


def halves(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16)


def test_float16_is_read_like_float32(tmp_path: Path):
    """Silently: the numbers of the file are what counts, and they are the same in both files."""
    plain, small = chain(), chain()
    for name in ("fc", "n", "s", "t"):
        for field, value in plain["nodes"][name].items():
            if field != "type":
                small["nodes"][name][field] = halves(value)
                plain["nodes"][name][field] = halves(value).astype(np.float32)
    found = read_network(write(tmp_path / "small.nir", small), DT)
    expected = read_network(write(tmp_path / "plain.nir", plain), DT)
    assert found.notes == ()
    same(*(run(x, inputs_of(x), "reference_float") for x in (found, expected)))


def residual() -> Tree:
    """A graph in which x reaches the Output over fc and beside it: W·x + x."""
    weight = np.array([[0.5, 0.25, 0.0], [1.0, 0.0, 0.5], [0.0, 2.0, 0.25]])
    nodes: Tree = {
        "input": {"type": "Input", "shape": np.array([1, 3])},
        "fc": {"type": "Linear", "weight": weight},
        "output": {"type": "Output"},
    }
    edges = [("input", "fc"), ("fc", "output"), ("input", "output")]
    return {"type": "NIRGraph", "nodes": nodes, "edges": edges}


def test_edges_around_an_inner_graph_add_up(tmp_path: Path):
    """x → block → out and x → out, where block holds W·x + x: W·x + 2·x."""
    nodes: Tree = {
        "x": {"type": "Input"},
        "block": residual(),
        "out": {"type": "Output", "shape": np.array([3])},
    }
    edges = [("x", "block"), ("block", "out"), ("x", "out")]
    graph = {"type": "NIRGraph", "nodes": nodes, "edges": edges}
    network = read_network(write(tmp_path / "g.nir", graph))
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 3)) / 4
    weight = residual()["nodes"]["fc"]["weight"]
    found = run(network, {"x": x}, "reference_float").membranes["out"]
    np.testing.assert_allclose(found, x @ weight.T + 2 * x, rtol=1e-12)
    assert network.notes == (
        "graphs within the graph were flattened: block; nodes are named as in block.<node>",
        "shapes were made plain: x without a shape to (3,), block.input (1, 3) to (3,), "
        "block.output without a shape to (3,)",
    )


def deep(depth: int, name: str = "g") -> Tree:
    graph = chain()
    names = ["fc", "n"]
    for _ in range(depth):
        graph, names = wrapped(graph, names, name), [name]
    return graph


def test_the_depth_has_no_limit_of_its_own(tmp_path: Path):
    """Three hundred graphs around a neuron; only the number of nodes and the names are limited."""
    found = read_network(write(tmp_path / "deep.nir", deep(300)), DT)
    plain = read_network(write(tmp_path / "plain.nir", chain()), DT)
    assert [p.name for p in found.populations] == ["g." * 300 + "n", "t"]
    same(*(run(x, inputs_of(x), "reference_float") for x in (found, plain)))


def test_a_name_is_not_longer_than_a_kilobyte(tmp_path: Path):
    refuse_file(
        write(tmp_path / "deep.nir", deep(20, "g" * 60)),
        "1036 characters with the names of the graphs around it, expected at most 1024",
    )
    refuse_file(write(tmp_path / "deeper.nir", deep(480)), " nodes, expected 1 to 1024")


def test_a_recurrent_inner_graph_delivers_one_step_later(tmp_path: Path):
    """As snnTorch writes RLeaky and NIR's paper its Braille network."""
    graph = wrapped(chain(), ["n"], "lif1")
    inner = graph["nodes"]["lif1"]
    inner["nodes"]["w_rec"] = {"type": "Linear", "weight": np.eye(N, dtype=np.float32)}
    inner["edges"] += [("n", "w_rec"), ("w_rec", "n")]
    found = read_network(write(tmp_path / "g.nir", graph), DT).populations[0]
    assert [(s.source, s.delay) for s in found.synapses if s.source == found.name] == [
        ("lif1.n", 1)
    ]


def test_a_cycle_through_an_inner_graph_delivers_one_step_later(tmp_path: Path):
    graph = wrapped(chain(), ["n"], "block")
    graph["nodes"]["back"] = {"type": "Linear", "weight": np.eye(N, dtype=np.float32)}
    graph["edges"] += [("s", "back"), ("back", "block")]
    found = read_network(write(tmp_path / "g.nir", graph), DT)
    late = [(s.source, p.name) for p in found.populations for s in p.synapses if s.delay == 1]
    assert len(late) == 1 and late[0][1] == "block.n"


def with_inner(nodes: Tree, edges: list[tuple[str, str]]) -> Tree:
    graph = wrapped(chain(), ["n"], "block")
    graph["nodes"]["block"]["nodes"] |= nodes
    graph["nodes"]["block"]["edges"] += edges
    return graph


SHAPE = {"shape": np.array([N])}
REFUSED: dict[str, tuple[Tree, str]] = {
    "a convolution in it": (
        with_inner({"c": {"type": "Conv2d", "weight": np.ones((1, 1, 3, 3))}}, []),
        "block.c.bias is missing, Conv2d needs it",
    ),
    "two Inputs": (
        with_inner({"j": {"type": "Input"} | SHAPE}, [("j", "n")]),
        "graph 'block': it has 2 nodes of type Input, expected one",
    ),
    "two Outputs": (
        with_inner({"p": {"type": "Output"} | SHAPE}, [("n", "p")]),
        "graph 'block': it has 2 nodes of type Output, expected one",
    ),
    "an edge to nowhere": (
        with_inner({}, [("n", "lif")]),
        "graph 'block': edge ('n', 'lif') names 'lif', which is no node",
    ),
    "a dead end": (
        with_inner({"m": {"type": "Scale", "scale": ONE}}, [("n", "m")]),
        "graph 'block': Scale 'm' needs an outgoing edge",
    ),
    "something beside the nodes": (
        wrapped(chain(), ["n"], "block"),
        "block holds 'more', expected a plain NIRGraph",
    ),
    "a wrong field": (
        with_inner({"n": {"type": "Scale", "tau": ONE}}, []),
        "block.n.tau is no field of Scale",
    ),
    "parameters that contradict each other": (
        chain({"n": {"r": np.ones(3)}}),
        "n: found parameter shapes {'tau_syn': (4,), 'tau_mem': (4,), 'r': (3,), ",
    ),
    "a weight of three dimensions": (
        chain({"fc": {"weight": np.ones((2, N, M))}}),
        "fc.weight has shape (2, 4, 3), expected two dimensions, and 3 values for the second",
    ),
    "a Flatten out of range": (
        chain({"s": {"type": None, "scale": None}})
        | {
            "nodes": chain()["nodes"]
            | {
                "s": {
                    "type": "Flatten",
                    "input_type": np.array([N]),
                    "start_dim": np.array(3),
                    "end_dim": np.array(-1),
                }
            }
        },
        "s flattens dimensions 3 to -1 of (4,), expected dimensions that it has",
    ),
    "a small file that asks for much": (
        chain({"output": {"shape": np.array([1 << 40])}}),
        f"'output' has shape ({1 << 40},), expected at most 67108864 values",
    ),
}
REFUSED["something beside the nodes"][0]["nodes"]["block"]["more"] = 1


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_flattened_is_refused(tmp_path: Path, case: str):
    graph, message = REFUSED[case]
    refuse_file(write(tmp_path / "g.nir", graph), message)


def test_a_broadcast_counts_as_values(tmp_path: Path):
    """2**26 neurons in a file of some kilobytes."""
    nodes: Tree = {"input": {"type": "Input", "shape": np.array([1 << 26])}}
    nodes["n"] = {"type": "IF", "r": number(1), "v_threshold": number(1)}
    nodes["output"] = {"type": "Output"}
    graph = {"type": "NIRGraph", "nodes": nodes, "edges": list(pairwise(nodes))}
    refuse_file(write(tmp_path / "g.nir", graph), "n broadcast to (67108864,): more than")


def test_an_input_of_unknown_shape_is_refused(tmp_path: Path):
    changes: Changes = {"input": {"shape": None}, "fc": {"weight": WEIGHT.reshape(1, N, M)}}
    refuse_file(write(tmp_path / "g.nir", chain(changes)), "Input 'input' has no shape, and no")


def test_two_nodes_of_one_name_are_refused(tmp_path: Path):
    graph = wrapped(chain(), ["n"], "block")
    graph["nodes"]["block.n"] = {"type": "Scale", "scale": ONE}
    graph["edges"] += [("fc", "block.n"), ("block.n", "s")]
    refuse_file(write(tmp_path / "g.nir", graph), "two nodes are named 'block.n' with")


def test_a_graph_that_holds_itself_is_refused(tmp_path: Path):
    """By a hard link of HDF5: the limits on nodes and names end it."""
    import h5py

    path = write(tmp_path / "g.nir", wrapped(chain(), ["n"], "block"))
    with h5py.File(path, "r+") as file:
        file["node/nodes/block/nodes/block"] = file["node/nodes/block"]
        edges = [("i", "block"), ("block", "n"), ("n", "o")]
        del file["node/nodes/block/edges"]
        file.create_dataset("node/nodes/block/edges", data=edges, dtype=h5py.string_dtype())
    refuse_file(path, "expected ")


def test_names_of_a_file_do_not_reach_the_terminal(tmp_path: Path, monkeypatch):
    """The child may be in the hands of the file: its notes are cut and printable."""
    from hardware.graph import child as nir_child
    from hardware.graph.file import read_nir

    path = write(tmp_path / "g.nir", chain())
    real = nir_child.read
    for answer, taken in (([f"\x1b[2J{'x' * 900}"] * 20, 8), ("text", 0), (None, 0)):
        monkeypatch.setattr(nir_child, "read", lambda p, n=answer: ({"notes": n}, real(p)[1]))
        notes: list[str] = []
        assert isinstance(read_nir(path, notes), nir.NIRGraph)
        assert len(notes) == taken
        assert all(len(note) <= 600 and note.isprintable() for note in notes)


def test_the_files_of_other_tools(shared_data: Path, tmp_path: Path):
    """Rockpool's own export and a nested one; recurrent ones deliver one step later."""
    bugs = shared_data / "bugs"
    if not bugs.is_dir():
        pytest.skip(f"no folder {bugs}")
    rockpool = read_network(bugs / "rockpool.nir", 1e-3)
    sub = read_network(bugs / "h_sub.nir", DT)
    assert rockpool.inputs == {"input": 12} and "(1, 12) to (12,)" in rockpool.notes[0]
    assert [p.name for p in sub.populations] == ["block.lif", "lif2"]
    for network, name in ((rockpool, "rockpool"), (sub, "h_sub")):
        graph = tree(nir.read(bugs / f"{name}.nir", type_check=False))
        for end, width in (("input", 12), ("output", 4)):
            graph["nodes"][end]["shape"] = np.array([width])
        if name == "h_sub":
            inner = graph["nodes"].pop("block")["nodes"]
            graph["nodes"] |= {"fc": inner["fc"], "lif": inner["lif"]}
            graph["edges"] = list(pairwise(["input", "fc", "lif", "fc2", "lif2", "output"]))
        plain = read_network(write(tmp_path / f"{name}.nir", graph), network.dt)
        assert plain.notes == ()
        inputs = {"input": np.load(bugs / f"{name}.npz")["mine.in.input"]}
        for backend in ("reference_float", "reference_int"):
            same(run(network, inputs, backend), run(plain, inputs, backend))
    for name, recurrent in (("snn_rleaky", "1.lif"), ("NIRTorch__tests_braille", "lif1.lif")):
        populations = read_network(bugs / f"{name}.nir", DT).populations
        back = [(s.source, p.name, s.delay) for p in populations for s in p.synapses if s.delay]
        assert back == [(recurrent, recurrent, 1)]
