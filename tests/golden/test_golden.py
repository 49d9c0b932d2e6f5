"""The golden traces: a refactor changes none of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import nir
import numpy as np
import pytest

import events
from hardware import BACKENDS, simulate
from hardware.graph.graph import lower
from tests.backends import every_backend
from tests.golden import traces
from tests.golden.files import FOLDER, GOLDEN, Golden, differences, read
from tests.golden.make import Make, make
from tests.hardware.nets import grids

pytestmark = pytest.mark.rounding

SIMULATED = read(FOLDER / "simulators.npz")


def driven() -> dict[str, np.ndarray]:
    return {name: SIMULATED[f"in.{name}"] for name in ("events", "threshold_current")}


def must_be(found: traces.Trace, kind: str) -> None:
    for name, x in found.items():
        np.testing.assert_array_equal(x, SIMULATED[f"{kind}.{name}"], err_msg=name)


def test_the_losses_of_a_run_are_the_golden_ones():
    golden, found = read(FOLDER / "losses.json"), traces.losses()
    assert len(found["stage_1.total"]) == 4 and len(found["stage_2.total"]) == 4
    assert differences(golden, found, GOLDEN["losses.json"].rtol) == []


@pytest.mark.parametrize("name", ["rendered", "order"])
def test_what_is_drawn_is_the_golden_benchmark(name: str):
    """Else raise RENDERER_VERSION or ORDER_VERSION: python -m tests.golden.make --force."""
    golden, found = read(FOLDER / f"{name}.json"), getattr(traces, name)()
    assert differences(golden, found, GOLDEN[f"{name}.json"].rtol) == []


@every_backend
def test_every_backend_records_the_golden_spikes_and_membranes(backend: str):
    network = lower(nir.read(FOLDER / "network.nir"))
    kind = "int" if BACKENDS[backend].fixed else "float"
    found = traces.recorded(simulate(network, driven(), backend, grids=grids()))
    assert {f"{kind}.{name}" for name in found} == {n for n in SIMULATED if n.startswith(kind)}
    must_be(found, kind)


def test_pytorch_records_the_golden_spikes_and_membranes():
    found = traces.torch_trace(lower(nir.read(FOLDER / "network.nir")), driven())
    assert len(found) == 2 * traces.LAYERS
    must_be(found, "float")


def test_the_golden_network_fires():
    for i in range(1, traces.LAYERS + 1):
        assert 0.05 < SIMULATED[f"float.spikes.lif_{i}"].mean() < 0.6
        same = SIMULATED[f"float.spikes.lif_{i}"] == SIMULATED[f"int.spikes.lif_{i}"]
        assert same.mean() > 0.9  # the integers' leak rounds


def test_the_events_of_a_clip_are_the_golden_ones():
    """The reference, the product on one thread and on two, and E_v both ways."""
    golden, (frames, times) = read(FOLDER / "events.npz"), traces.clip()
    assert len(golden["ideal"]) > 500 and len(golden["noisy"]) > 500
    assert not np.array_equal(golden["ideal"], golden["noisy"])
    assert differences(golden, traces.clip_events(), 0) == []
    for name, sensor in (("ideal", traces.IDEAL), ("noisy", traces.NOISY)):
        for threads in (1, 2):
            found = events.frames_to_events(frames, times, **sensor, threads=threads)
            np.testing.assert_array_equal(found, golden[name])
    dense = events.frames_to_bins(frames, times, **traces.IDEAL, **traces.DENSE)
    np.testing.assert_array_equal(dense, golden["dense"])
    assert golden["dense"].any() and golden["dense"].max() < 255


def test_the_golden_files_are_small():
    assert sum((FOLDER / name).stat().st_size for name in GOLDEN) < 300_000


def test_the_script_keeps_what_differs_until_it_is_forced(tmp_path: Path, capsys):
    values = {"curve": np.array([1.0, 2.0])}
    golden = {
        "a.json": Golden(lambda folder: dict(values), rtol=1e-2),
        "b.npz": Golden(lambda folder: read(folder / "a.json")),
        "network.nir": Golden(lambda folder: traces.network()),
    }

    def say(force: bool = False) -> tuple[int, str]:
        return make(Make(tmp_path, force), golden), capsys.readouterr().out

    status, printed = say()
    assert status == 0 and printed.count("written") == 3
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    values["curve"] = np.array([1.0, 2.01])  # within what is allowed of a.json
    assert say() == (0, "a.json: unchanged\nb.npz: unchanged\nnetwork.nir: unchanged\n")
    values["curve"] = np.array([1.0, 2.5])
    values["more"] = np.zeros(3)
    status, printed = say()
    assert status == 1 and "a.json: KEPT\n  curve: off by up to 0.25 of its value" in printed
    assert "more: only in the new one" in printed and "1 differ; --force overwrites" in printed
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    status, printed = say(force=True)
    assert status == 0 and "a.json: written" in printed and "b.npz: written" in printed
    assert say()[0] == 0


def test_a_changed_weight_of_the_network_is_told(tmp_path: Path):
    shutil.copy(FOLDER / "network.nir", tmp_path)
    graph = traces.network()
    affine = graph.nodes["affine_1"]
    assert isinstance(affine, nir.Affine)
    affine.weight[0, 0] += 1
    told = differences(read(FOLDER / "network.nir"), traces_of(graph, tmp_path), 0)
    assert told == ["affine_1.weight: 1 of 120 values differ"]


def traces_of(graph: nir.NIRGraph, folder: Path) -> traces.Trace:
    nir.write(folder / "changed.nir", graph)
    return read(folder / "changed.nir")
