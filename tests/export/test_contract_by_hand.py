"""A contract and a graph made by hand: what each difference is answered, word for word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from pydantic import TypeAdapter

from export.contract import (
    Contract,
    InputContract,
    LayerContract,
    PathwayContract,
    check_export,
    check_graph,
    read_contract,
)
from hardware.manifest import sha256
from mdft.errors import UserError
from tests.hardware.nets import random_graph

AGAIN = "run python -m export.to_nir again"
LAYER = LayerContract(
    neurons=3, relays=1, beta=0.5, v_threshold=1 + 2.0**-13, weight_bits=8, weight_grid=2.0**-6,
    weight_limit=127 / 64, weight_max=1.0, bias_grid=2.0**-6, bias_max=1.0,
)  # fmt: skip
PATHWAY = PathwayContract(
    "motion_audio.nir",
    {"events": InputContract(5, 2.0**-4, ()), "threshold_current": InputContract(1, 2.0**-7, ())},
    "spikes",
    {"lif_1": LAYER, "lif_2": LAYER},
)


def small() -> nir.NIRGraph:
    """Five channels, two layers of four."""
    return random_graph(np.random.default_rng(0), features=5, size=4, layers=2)


def contract(**changes) -> Contract:
    fields = {"form": "inputs", "r_convention": "unit-gain", "arithmetic": "float", "dt": 1e-4}
    return Contract(**(fields | {"sha256": {}, "pathways": {"audio": PATHWAY}} | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As written by an export: the graph, a probe, and manifest.json."""
    nir.write(tmp_path / "motion_audio.nir", small())
    (tmp_path / "probe.npz").write_bytes(b"arrays")
    names = ("motion_audio.nir", "probe.npz")
    save(tmp_path, contract(sha256={name: sha256(tmp_path / name) for name in names}))
    return tmp_path


def save(folder: Path, value: Contract) -> None:
    (folder / "manifest.json").write_bytes(TypeAdapter(Contract).dump_json(value))


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        work()
    return str(caught.value)


def test_what_holds_is_given_back(folder: Path):
    found, graphs = check_export(folder)
    assert found == read_contract(folder) and found.pathways == {"audio": PATHWAY}
    assert set(graphs) == {"audio"} and set(graphs["audio"].nodes) == set(small().nodes)


def changed(**fields: float) -> Callable[[nir.NIRGraph], None]:
    def change(graph: nir.NIRGraph) -> None:
        for name, value in fields.items():
            getattr(graph.nodes["lif_2"], name)[1:] = value

    return change


def wider(graph: nir.NIRGraph) -> None:
    graph.nodes["events"] = nir.Input({"input": np.array([6])})


def rewired(graph: nir.NIRGraph) -> None:
    graph.edges[graph.edges.index(("threshold_current", "threshold_2"))] = ("lif_1", "threshold_2")


def linear(graph: nir.NIRGraph) -> None:
    graph.nodes["affine_1"] = nir.Linear(graph.nodes["affine_1"].to_dict()["weight"])


def three(graph: nir.NIRGraph) -> None:
    graph.nodes["lif_1"] = nir.LIF(*(np.ones(3, np.float32) for _ in range(4)))


def several(graph: nir.NIRGraph) -> None:
    lif: Any = graph.nodes["lif_2"]
    lif.v_leak[:] = [4, 3, 2, 1]


TAU, LATE = float(np.float32(2e-4)), float(np.float32(1e-4))
THETA = 1 + 2.0**-13
OTHER = "nodes or edges are not those of form inputs"
GRAPHS: dict[str, tuple[Callable[[nir.NIRGraph], None], str]] = {
    "width": (wider, "events.width is [6], expected 5"),
    "edges": (rewired, OTHER),
    "type": (linear, OTHER),
    "size": (three, "lif_1.size is [3], expected 4"),
    "tau": (changed(tau=1e-4), f"lif_2.tau is [{LATE}, {TAU}], expected 0.0002"),
    "r": (changed(r=1), "lif_2.r is [1.0, 2.0], expected 2"),
    "threshold": (changed(v_threshold=2), f"lif_2.v_threshold is [{THETA}, 2.0], expected 1.00012"),
    "leak": (changed(v_leak=1), "lif_2.v_leak is [0.0, 1.0], expected 0"),
    "reset": (changed(v_reset=-1), "lif_2.v_reset is [-1.0, 0.0], expected 0"),
    "several": (several, "lif_2.v_leak is [1.0, 2.0, 3.0], expected 0"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_that_differs_is_named(case: str):
    change, message = GRAPHS[case]
    graph = small()
    change(graph)
    answer = refused(lambda: check_graph(Path("g.nir"), graph, contract(), PATHWAY))
    assert answer == f"g.nir: {message}" + " by manifest.json" * (message != OTHER)


def test_r_is_one_or_makes_a_gain_of_one():
    graph = small()
    answer = refused(lambda: check_graph(Path("g"), graph, contract(r_convention="one"), PATHWAY))
    assert answer == "g: lif_1.r is [2.0], expected 1 by manifest.json"
    nodes: dict[str, Any] = graph.nodes
    nodes["lif_1"].r[:] = nodes["lif_2"].r[:] = 1
    check_graph(Path("g"), graph, contract(r_convention="one"), PATHWAY)


def test_an_empty_layer_is_refused():
    graph = small()
    for i in (1, 2):
        graph.nodes[f"lif_{i}"] = nir.LIF(*(np.ones(0, np.float32) for _ in range(4)))
    empty = replace(LAYER, neurons=0, relays=0)
    pathway = replace(PATHWAY, layers={"lif_1": empty, "lif_2": empty})
    answer = refused(lambda: check_graph(Path("g"), graph, contract(), pathway))
    assert answer == "g: lif_1.tau is [], expected 0.0002 by manifest.json"


FIELDS = ("equation", "comparison", "reset", "start", "latency", "units")


@pytest.mark.parametrize("field", FIELDS)
def test_each_sentence_must_be_ours(folder: Path, field: str):
    save(folder, replace(read_contract(folder), **{field: "else"}))
    expected = getattr(contract(), field)
    path = folder / "manifest.json"
    assert refused(lambda: read_contract(folder)) == (
        f"{path}: {field} is 'else', expected {expected!r}; {AGAIN}"
    )


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"dt":0.0001', '"dt":"soon"', "dt: Input should be a valid number"),
        ('"neurons":3', '"neurons":[]', "pathways.audio.layers.lif_1.neurons: Input should be"),
        ("{", "[", "(whole file): Invalid JSON"),
    ],
)
def test_a_field_is_named_by_its_path(folder: Path, old: str, new: str, where: str):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(old, new, 1))
    answer = refused(lambda: read_contract(folder))
    assert answer.startswith(f"{path}: field {where}") and answer.endswith(f"; {AGAIN}")
    assert "\n" not in answer


def test_missing_and_changed_files_are_named(folder: Path):
    whole = read_contract(folder)
    probe, graph, manifest = (
        folder / name for name in ("probe.npz", "motion_audio.nir", "manifest.json")
    )
    probe.write_bytes(b"other")
    another = f"{probe}: its SHA-256 is not that in manifest.json; {AGAIN}"
    assert refused(lambda: check_export(folder)) == another
    probe.unlink()
    assert refused(lambda: check_export(folder)) == another
    save(folder, replace(whole, sha256={}))
    assert refused(lambda: check_export(folder)) == (
        f"{manifest}: no SHA-256 of motion_audio.nir; {AGAIN}"
    )
    nir.write(graph, random_graph(np.random.default_rng(0), features=5, size=4, layers=1))
    save(folder, replace(whole, sha256={graph.name: sha256(graph)}))
    assert refused(lambda: check_export(folder)) == f"{graph}: {OTHER}"
    manifest.unlink()
    assert refused(lambda: check_export(folder)) == f"{manifest}: no such file; {AGAIN}"
