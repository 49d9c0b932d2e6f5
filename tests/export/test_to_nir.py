"""`python -m export.to_nir RUN`, and from its files through every backend."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import nir
import numpy as np
import pytest

from export import verify
from export.files import npz_bytes
from export.forms import Drive, export_form
from export.probe import pick_samples, probe_arrays, sample_count
from export.to_nir import main
from hardware.run import main as run_main
from mdft.cli import run_main as exit_with
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.lif.grid import THRESHOLD_OFFSET
from mdft.runs.folder import MODEL
from tests.backends import every_backend
from tests.export.branches import firing_branch, random_drive

pytestmark = pytest.mark.rounding

SIGNED = ["motion_audio.nir", "motion_visual.nir", "probe.npz"]
FILES = ["manifest.json", *SIGNED[:2], "parity_level_0.json", "probe.npz"]


def exported(run_dir: Path, out: Path) -> dict[str, bytes]:
    assert main([str(run_dir), "--out", str(out), "--samples", "6"]) == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    return {p.name: p.read_bytes() for p in out.iterdir()}


@pytest.mark.subprocess
def test_files_parity_and_headline(run_dir: Path, tmp_path: Path, capsys):
    exported(run_dir, tmp_path / "out")
    text = capsys.readouterr().out
    with np.load(tmp_path / "out" / "probe.npz") as file:
        arrays = dict(file)
    batch, steps, width = arrays["visual.in.events"].shape
    assert (batch, width) == (6, 32) and steps % 4 == 0
    spikes = 2 * 3 * batch * steps * 32  # two pathways of three layers
    assert f"0 of {spikes:,} spikes differ" in text
    assert "in nirtorch with snnTorch" in text
    assert all(name in text.replace("\n", "") for name in FILES)
    for pathway in ("audio", "visual"):
        assert arrays[f"{pathway}.in.threshold_current"].shape == (batch, steps, 1)
        out = arrays[f"{pathway}.spikes.out"]
        np.testing.assert_array_equal(out, arrays[f"{pathway}.spikes.lif_3"])
        for i in (1, 2, 3):
            membrane = arrays[f"{pathway}.membrane.lif_{i}"]
            assert membrane.dtype == np.float32
            fired = membrane > 1 + THRESHOLD_OFFSET
            np.testing.assert_array_equal(arrays[f"{pathway}.spikes.lif_{i}"], fired)
            assert 0.005 < fired.mean() < 0.5


def test_same_checkpoint_same_bytes(run_dir: Path, tmp_path: Path):
    first = exported(run_dir, tmp_path / "a")
    time.sleep(2.1)  # zip entries count in steps of two seconds
    assert exported(run_dir / MODEL, tmp_path / "b") == first


def test_manifest_tells_what_is_beside_it(made_export: Path):
    files = {p.name: p.read_bytes() for p in made_export.iterdir()}
    manifest = json.loads(files["manifest.json"])
    assert manifest["dt"] == 1e-4 and manifest["comparison"] == ">"
    assert manifest["format_version"] == 1 and manifest["form"] == "inputs"
    assert manifest["r_convention"] == "unit-gain" and manifest["arithmetic"] == "float"
    for name in SIGNED:
        assert manifest["sha256"][name] == hashlib.sha256(files[name]).hexdigest()
    parity = json.loads(files["parity_level_0.json"])
    assert parity["sha256"] == manifest["sha256"]
    assert {p: len(layers) for p, layers in parity["pathways"].items()} == {"audio": 3, "visual": 3}
    visual = manifest["pathways"]["visual"]
    events = visual["inputs"]["events"]
    assert (events["width"], events["grid"]) == (32, 0.0625)
    assert visual["layers"]["lif_1"]["v_threshold"] == 1 + THRESHOLD_OFFSET
    assert visual["layers"]["lif_1"]["weight_max"] <= 127 / 64


@every_backend
def test_exported_files_run_in_every_backend(made_export: Path, backend: str, capsys):
    for pathway in ("audio", "visual"):
        graph, probe = made_export / f"motion_{pathway}.nir", str(made_export / "probe.npz")
        assert run_main([str(graph), probe, "--backend", backend]) == 0
        assert "note:" not in capsys.readouterr().out  # on the grid nothing is rounded


def test_the_manifest_keeps_graph_probe_and_pathway_together(
    made_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = Path(shutil.copytree(made_export, tmp_path / "out"))
    graph, probe, backend = str(out / "motion_audio.nir"), out / "probe.npz", "reference_float"
    words = [graph, str(probe), "--backend", backend]
    elsewhere = tmp_path / "other.npz"
    elsewhere.write_bytes(probe.read_bytes())
    assert run_main([graph, str(elsewhere), "--backend", backend]) == 0  # the same, elsewhere
    with np.load(probe) as file:
        np.savez(elsewhere, **file)
    capsys.readouterr()
    for arguments, word in (
        ([*words, "--pathway", "visual"], "motion_audio.nir: its SHA-256"),
        ([graph, str(elsewhere), "--backend", backend], "other.npz: its SHA-256"),
        ([*words, "--dt", "5e-5"], "--dt is 5e-05, expected 0.0001"),
    ):
        assert run_main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and word in error, error
    for content in ("{}", "[", '{"sha256": {}, "pathways": []}'):
        (out / "manifest.json").write_text(content)
        assert run_main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "manifest.json: no entry for graph" in error, error


def test_an_exported_graph_runs_on_inputs_of_ones_own(
    made_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """The manifest knows the graph, and says nothing of a probe without spikes."""
    out = Path(shutil.copytree(made_export, tmp_path / "out"))
    graph, probe = out / "motion_audio.nir", tmp_path / "own.npz"
    with np.load(out / "probe.npz") as file:
        np.savez(probe, **{f"own.{k[6:]}": file[k] for k in file if k.startswith("audio.in.")})
    words = [str(graph), str(probe), "--backend", "reference_int"]
    assert run_main(words) == 0
    assert run_main([*words, "--dt", "5e-5"]) == 2
    renamed = graph.rename(out / "mine.nir")
    shutil.copy(out / "motion_visual.nir", graph)
    capsys.readouterr()
    for file, word in (
        (graph, "motion_audio.nir: its SHA-256"),
        (renamed, "manifest.json: no entry for mine.nir; run"),
    ):
        assert run_main([str(file), *words[1:]]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and word in error and "folder of its own" in error, error


def test_a_differing_spike_exits_1(run_dir: Path, tmp_path: Path, monkeypatch, capsys):
    honest = verify.run_graph

    def flipped(graph: nir.NIRGraph, inputs: dict) -> dict:
        found = honest(graph, inputs)
        found["lif_2"][0, 0, 0] = 1 - found["lif_2"][0, 0, 0]
        return found

    monkeypatch.setattr(verify, "run_graph", flipped)
    assert main([str(run_dir), "--samples", "4"]) == 1
    assert "\n2 of " in capsys.readouterr().out


def test_wrong_use_exits_2_with_one_line(run_dir: Path, tmp_path: Path, capsys):
    for arguments, word in (
        ([str(tmp_path / "none")], "none"),
        ([str(run_dir), "--samples", "0"], "--samples"),
        ([str(run_dir), "--samples", "100000"], "test clips"),
        ([str(run_dir), "--out", str(run_dir / MODEL)], MODEL),
    ):
        with pytest.raises(SystemExit, match="2"):
            exit_with(lambda words=arguments: main(words))
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and word in error, error
    assert sorted(p.name for p in run_dir.iterdir()) == ["config.json", MODEL]


def test_what_hardware_refuses_is_one_line(run_dir: Path, monkeypatch, capsys):
    def refuse(*_) -> None:
        raise UserError("affine_1.weight holds NaN")

    monkeypatch.setattr(verify, "lower", refuse)
    with pytest.raises(SystemExit, match="2"):
        exit_with(lambda: main([str(run_dir)]))
    assert capsys.readouterr().err == "error: affine_1.weight holds NaN\n"


@pytest.mark.parametrize("count", [1, 2, 7, 36])
def test_samples_come_evenly_from_both_splits(clips: ClipSet, count: int):
    picked = pick_samples(clips, count)
    assert len(set(picked.tolist())) == count
    unseen = np.isin(picked, clips.splits["test_unseen"]).sum()
    seen = np.isin(picked, clips.splits["test_seen"]).sum()
    assert unseen + seen == count
    assert count == 36 or unseen - seen in (0, 1)


def test_the_default_number_of_samples():
    assert [sample_count(None, n, "clips") for n in (3, 8, 36)] == [3, 8, 8]
    assert sample_count(36, 36, "clips") == 36
    for count in (0, 4):
        with pytest.raises(UserError, match=f"--samples is {count}, expected 1 to 3 clips"):
            sample_count(count, 3, "clips")


def test_inputs_off_the_grid_are_refused():
    branch = firing_branch(0)
    x, current = random_drive(branch, 0)
    for drive, message in (
        (Drive(x + 0.01, current, (0.1, 2)), "events is off its grid"),
        (Drive(x, current * 4, (0.1, 2)), "threshold_current .* runs from"),
    ):
        with pytest.raises(UserError, match=message):
            probe_arrays("audio", export_form("inputs", branch, drive, "unit-gain"))


def test_npz_is_what_numpy_reads(tmp_path: Path):
    arrays = {"a.b": np.arange(6.0).reshape(2, 3), "c": np.array(0.5, np.float32)}
    (tmp_path / "x.npz").write_bytes(npz_bytes(arrays))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert set(file.files) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
            assert (file[name].dtype, file[name].shape) == (array.dtype, array.shape)
