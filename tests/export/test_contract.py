"""manifest.json: what the files mean, and whether they are what it says."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest

from export.contract import Contract, check_export, layout, read_contract
from export.forms import Drive, export_form
from export.write import write_export
from mdft.errors import UserError
from tests.export.branches import firing_branch, random_drive
from tests.nir_here import reading_here

FORMS = pytest.mark.parametrize("form", ["inputs", "chain"])


def exported(folder: Path, form: str = "inputs", r_convention: str = "unit-gain") -> Path:
    branch = firing_branch(0, 12, 10, 2)
    drive = Drive(*random_drive(branch, 0), (0.25, 2.25))
    made = {"visual": export_form(form, branch, drive, r_convention)}  # type: ignore[arg-type]
    parity = write_export(made, folder, form=form, r_convention=r_convention)  # type: ignore[arg-type]
    assert not parity.failed
    return folder


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in form inputs; not to be changed."""
    with reading_here():
        return exported(tmp_path_factory.mktemp("contract") / "once")


@pytest.fixture
def folder(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(once, tmp_path / "out"))


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "manifest.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@FORMS
@pytest.mark.parametrize("r_convention", ["unit-gain", "one"])
def test_an_export_holds_its_contract(tmp_path: Path, form: str, r_convention: str):
    contract, graphs = check_export(exported(tmp_path, form, r_convention))
    assert (contract.form, contract.r_convention) == (form, r_convention)
    nodes = graphs["visual"].nodes
    lif = nodes["lif_2"].to_dict()
    assert lif["r"][0] == (2 if r_convention == "unit-gain" else 1)
    np.testing.assert_array_equal(lif["tau"], np.full(10, 2e-4, np.float32))
    first = nodes["affine_1"].to_dict()["weight"]
    if r_convention == "one":  # the same weights, doubled
        other = exported(tmp_path / "other", form)
        half = nir.read(other / "motion_visual.nir").nodes["affine_1"].to_dict()["weight"]
        np.testing.assert_array_equal(first, 2 * half)
    for name, given in contract.pathways["visual"].inputs.items():
        assert given.width == nodes[name].input_type["input"][0]
        channels = [i for c in given.channels for i in range(c.first, c.first + c.count)]
        assert channels == list(range(given.width))


def test_the_layouts_are_those_of_the_docs():
    nodes, edges = layout("chain", 2)
    assert " ".join(nodes) == "events_and_bits affine_1 lif_1 affine_2 lif_2 spikes"
    assert edges == set(zip(list(nodes), list(nodes)[1:], strict=False))
    nodes, edges = layout("inputs", 1)
    assert set(nodes) == {
        "events", "threshold_current", "affine_1", "threshold_1", "lif_1", "spikes"
    }  # fmt: skip
    assert edges == {
        ("events", "affine_1"), ("affine_1", "lif_1"), ("lif_1", "spikes"),
        ("threshold_current", "threshold_1"), ("threshold_1", "lif_1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.update(comparison=">="), "comparison is '>=', expected '>'"),
        (lambda x: x.update(latency="1 step"), "latency is"),
        (lambda x: x.update(format_version=2), "field format_version"),
        (lambda x: x.update(form="star"), "field form"),
        (lambda x: x.update(more=1), "field more"),
        (lambda x: x.pop("dt"), "field dt"),
        (lambda x: x["pathways"]["visual"].pop("layers"), "field pathways.visual.layers"),
        (lambda x: x.update(dt=1e-3), r"lif_1.tau is \[.*expected 0.002"),
        (lambda x: x.update(r_convention="one"), r"lif_1.r is \[2.0\], expected 1"),
        (lambda x: x.update(form="chain"), "not those of form chain"),
        (lambda x: x["sha256"].update({"probe.npz": "0"}), "probe.npz: its SHA-256"),
        (lambda x: x["sha256"].pop("motion_visual.nir"), "no SHA-256 of motion_visual.nir"),
        (lambda x: layer(x).update(beta=0.75), "lif_1.tau"),
        (lambda x: layer(x).update(neurons=11), r"lif_1.size is \[10\], expected 11"),
        (lambda x: layer(x).update(v_threshold=2.0), "lif_1.v_threshold"),
        (lambda x: x["pathways"]["visual"]["inputs"]["events"].update(width=3), "events.width"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(folder: Path, change, message: str):
    edit(folder, change)
    with pytest.raises(UserError, match=message) as caught:
        check_export(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def layer(manifest: dict) -> dict:
    return manifest["pathways"]["visual"]["layers"]["lif_1"]


def test_a_graph_that_is_another_is_refused(folder: Path):
    path = folder / "motion_visual.nir"
    graph = nir.read(path)
    node = graph.nodes["lif_2"]
    assert isinstance(node, nir.LIF)
    assert node.v_reset is not None
    node.v_reset[3] = -1.0
    nir.write(path, graph)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder, lambda x: x["sha256"].update({path.name: digest}))
    with pytest.raises(UserError, match=r"lif_2.v_reset is \[-1.0, 0.0\], expected 0"):
        check_export(folder)


@pytest.mark.parametrize("content", [None, "", "[", "[]", "{}"])
def test_no_manifest_is_one_line(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest.json: .*export.to_nir") as caught:
        read_contract(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_contract_reads_back_as_it_was_written(tmp_path: Path):
    contract = read_contract(exported(tmp_path, "chain"))
    assert (
        isinstance(contract, Contract) and contract.pathways["visual"].layers["lif_1"].relays == 10
    )
    bits = contract.pathways["visual"].inputs["events_and_bits"].channels[1]
    assert bits.worth[:2] == (2.0**-7, 2.0**-6) and bits.worth[-1] == bits.worth[-2] == -1
