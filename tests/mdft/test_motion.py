"""``python -m mdft.motion``, the export of its runs, and what both answer to bad input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

from hardware.pair import read_pair
from mdft.recognition.run import load
from tests.commands import call, run
from tests.mdft.recognition.small import recording, write_nmnist

LAYERS = "4c5s4-p2-C"
FEW = ("--layers", LAYERS, "--data.bins", "6", "--data.bin-ms", "60")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in N-MNIST's format, and one run on it in ``run``."""
    root = tmp_path_factory.mktemp("motion")
    write_nmnist(root / "data")
    status, out, err = motion(root, *FEW, "--epochs", 12, "--batch-size", 2, "--out", "run")
    assert (status, err) == (0, ""), err
    (root / "out.txt").write_text(out)
    return root


def motion(root: Path, *words: object, dataset: str = "NMNIST") -> tuple[int, str, str]:
    given = dataset, "--data.root", "data", *words
    return run("mdft.motion", *given, folder=root, MDFT_CACHE=str(root / "cache"))


def command(module: str, root: Path, *words: object) -> tuple[int, str, str]:
    return run(module, *words, folder=root, MDFT_CACHE=str(root / "cache"))


@pytest.fixture(scope="module")
def exported(folder: Path) -> str:
    status, out, err = command("export.to_nir", folder, "run", "--samples", 3)
    assert (status, err) == (0, ""), (out, err)
    return out


def test_it_learns_two_sides_of_the_sensor(folder: Path):
    printed = (folder / "out.txt").read_text()
    assert "16 training and 8 test recordings of 2 classes, 6 bins of 2 x 34 x 34" in printed
    assert "100.0% of 8 test recordings (chance 50.0%), 8 bits, arithmetic loihi" in printed


def test_the_run_folder(folder: Path):
    run = folder / "run"
    names = {"config.json", "start.nir", "model.safetensors", "metrics.jsonl", "results.json"}
    assert names <= {p.name for p in run.iterdir()}
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [m["epoch"] for m in metrics] == list(range(12)) and metrics[-1]["loss"] < 0.5
    results = json.loads((run / "results.json").read_text())
    assert results["accuracy"] == 1.0 and results["left_out"] == [] and results["before"] is None
    assert 0 < results["firing_rates"]["lif_1"] < 1


def test_the_export_is_exact_over_the_whole_test(folder: Path, exported: str):
    assert " spikes differ in reference_int on the probe" in exported
    assert exported.startswith("0 of ")
    assert "100.0% of 8 test recordings in reference_int, 100.0% in PyTorch; 0 of" in exported
    assert "motion.nir" in exported and "probe.npz" in exported


def test_the_probe_holds_the_spikes_of_the_trained_network(folder: Path, exported: str):
    pair = read_pair(folder / "run" / "motion.nir", folder / "run" / "probe.npz")
    assert (pair.pathway, pair.grids) == ("motion", {"input": 1.0})
    network = load(folder / "run").network
    x_BSF = torch.from_numpy(pair.probe.inputs["input"])
    assert x_BSF.shape == (3, 6, 2 * 34 * 34) and x_BSF.sum() > 3
    for name, trace in network.trace(x_BSF).items():
        np.testing.assert_array_equal(trace.spikes_BSN.detach(), pair.probe.spikes[name])


@pytest.mark.lava
def test_lava_computes_the_same_spikes(folder: Path, exported: str):
    files = "run/motion.nir", "run/probe.npz"
    status, out, err = command("hardware.run", folder, *files, "--backend", "lava_fixed")
    assert (status, err) == (0, "")
    assert "0 of " in out and "spikes differ from probe" in out
    assert "spikes differ from reference_int, and 0 of as many membranes" in out


def test_a_graph_is_trained_on(folder: Path, exported: str):
    words = "--init", "run/motion.nir", "--bits", 3, "--epochs", 1, "--out", "again"
    status, out, err = motion(folder, *FEW[2:], *words)
    assert (status, err) == (0, ""), err
    assert "before training " in out and "3 bits, arithmetic loihi" in out
    status, out, _ = command("export.to_nir", folder, "again", "--samples", 2)
    assert status == 0 and out.startswith("0 of ")
    affine = nir.read(folder / "again" / "motion.nir").nodes["affine_3"]
    assert isinstance(affine, nir.Affine)
    assert len(np.unique(np.abs(affine.weight))) <= 4  # 0 to 3 of its steps


def test_several_leaks_are_exact(folder: Path):
    words = "--epochs", 1, "--beta", 0.9375, 0.5, "--out", "leaks"
    status, _, err = motion(folder, *FEW, *words)
    assert (status, err) == (0, ""), err
    assert load(folder / "leaks").config.betas == (0.9375, 0.5)
    status, out, _ = command("export.to_nir", folder, "leaks", "--samples", 2)
    assert status == 0 and out.startswith("0 of ")
    lif = nir.read(folder / "leaks" / "motion.nir").nodes["lif_1"]
    assert isinstance(lif, nir.LIF) and len(np.unique(lif.tau)) == 2
    status, _, err = motion(folder, *FEW, "--beta", *[0.5, 0.25] * 3, "--out", "none")
    assert status == 2 and "--beta has 6 values, layer 1 of --layers has 4 channels" in err


def test_a_run_of_before_the_moving_threshold_loads(folder: Path):
    """Its config.json has one number or null for beta, and no threshold."""
    expected = load(folder / "run").network.state_dict()
    for beta in (None, 0.9375):
        shutil.rmtree(folder / "old", ignore_errors=True)
        shutil.copytree(folder / "run", folder / "old")
        config = json.loads((folder / "run" / "config.json").read_text())
        del config["threshold"]
        config["beta"] = beta
        (folder / "old" / "config.json").write_text(json.dumps(config))
        found = load(folder / "old")
        assert found.config.threshold == "fixed" and found.network.threshold is None
        assert found.config.beta == beta
        assert all(torch.equal(x, expected[n]) for n, x in found.network.state_dict().items())


def test_float_arithmetic_is_exact_in_the_float_reference(folder: Path):
    words = "--epochs", 1, "--arithmetic", "float", "--out", "float"
    assert motion(folder, *FEW, *words)[0] == 0
    status, out, _ = command("export.to_nir", folder, "float", "--samples", 2)
    assert status == 0 and "spikes differ in reference_float on the probe" in out


def test_the_same_seed_gives_the_same_weights(folder: Path):
    words = *FEW, "--epochs", 2, "--data.transform", "shift=2", "mirror"
    for name in ("one", "two"):
        assert motion(folder, *words, "--out", name)[0] == 0
    one, two = (load(folder / name).network.state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_recordings_that_are_left_out_are_named_and_in_the_status(tmp_path: Path):
    write_nmnist(tmp_path / "data")
    (tmp_path / "data" / "NMNIST" / "Train" / "0" / "00001.bin").write_bytes(b"")
    status, out, err = motion(tmp_path, *FEW, "--epochs", 0, "--out", "run")
    assert (status, err) == (1, "")
    (line,) = (x for x in out.splitlines() if x.startswith("left out: "))
    assert "0/00001.bin: no events in it" in line
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(results["left_out"]) == 1 and results["train"] == 15


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("MNIST", "DATASET is 'MNIST', expected one of NMNIST, .*; did you mean 'NMNIST'?"),
        ("NMNIST --data.root no", "no/NMNIST: no files there, expected Tonic's NMNIST"),
        ("folder --data.root no", "no: no such folder"),
        ("folder --data.root motion_audio", "motion_audio: no recordings, expected CLASS/FILE"),
        ("NMNIST --beta 0.9", "beta is 0.9, expected a multiple of 1/32"),
        ("NMNIST --beta 0.5 1", "beta is 1.0, expected a multiple of 1/32 between 0 and 1"),
        ("NMNIST --beta", "beta is .., expected at least one number"),
        ("NMNIST --threshold still", "--threshold is 'still'|'still'.*threshold"),
        ("NMNIST --threshold moving --init a.nir", "threshold is 'moving', expected fixed with"),
        ("NMNIST --threshold moving --beta 0.5 0.75", "beta is .0.5, 0.75., expected one value"),
        ("NMNIST --bits 9", "bits is 9, expected at most 8"),
        ("NMNIST --epochs -1", "epochs is -1, expected at least 0"),
        ("NMNIST --arithmetic int", "--arithmetic is 'int'"),
        ("NMNIST --data.transform blur", "--data.transform is 'blur', expected one of sort, "),
        ("NMNIST --data.transform pool", "'pool', expected pool=NUMBER .pixels"),
        ("NMNIST --data.transform drop=2", "'drop=2', expected drop=NUMBER, between 0 and 1"),
        ("NMNIST --data.transform mirror=1", "'mirror=1', expected mirror without a number"),
        ("NCALTECH101", "data/NCALTECH101: no files there"),
        ("NMNIST --out motion_audio.txt", "motion_audio.txt: a file, expected a folder"),
    ],
)
def test_bad_arguments_are_answered_in_one_line(words: str, message: str):
    answer = call("mdft.motion", *words.split())
    assert answer.status == 2 and answer.out == "" and answer.left == ()
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1
    assert re.search(message, answer.err), answer.err


def bad_graph(path: Path, outputs: int = 2, features: int = 2312) -> None:
    weight, rest = np.ones((outputs, features), np.float32), np.zeros(outputs, np.float32)
    ones = np.ones(outputs, np.float32)
    lif = nir.LIF(tau=ones * 2e-4, r=2 * ones, v_leak=rest, v_threshold=ones, v_reset=rest)
    nir.write(path, nir.NIRGraph.from_list(nir.Linear(weight), lif))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "run"), "run: a finished run is there"),
        (("--init", "three.nir", "--beta", "0.5"), "beta is 0.5, expected none with --init"),
        (("--layers", "8c3"), "the last layer is '8c3'"),
        (("--layers", "p40-C"), "p40 is larger than its input"),
        (("--init", "no.nir"), "no.nir: cannot be opened"),
        (("--init", "few.nir"), "few.nir: its Input has 7 values, the recordings have 2 x 34 x 34"),
        (("--init", "three.nir"), "three.nir: its Output has 3 neurons, the recordings have 2 cla"),
        (("--init", "data/NMNIST/Test/0/00000.bin"), "00000.bin: "),
    ],
)
def test_what_does_not_fit_is_answered_in_one_line(
    folder: Path, words: tuple[str, ...], message: str
):
    bad_graph(folder / "few.nir", features=7)
    bad_graph(folder / "three.nir", outputs=3)
    before = sorted(p.name for p in folder.iterdir())
    status, _, err = motion(folder, "--data.bins", 6, "--data.bin-ms", 60, *words)
    assert status == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert message in err, err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_the_export_refuses_what_only_the_branch_has(folder: Path):
    for words in (("--form", "chain"), ("--r-convention", "one"), ("--samples", "9")):
        status, out, err = command("export.to_nir", folder, "run", *words, "--out", "none")
        assert status == 2 and out == "" and err.count("\n") == 1, (words, err)
        assert words[0] in err and not (folder / "none").exists()


def test_a_damaged_run_is_answered_in_one_line(folder: Path):
    for name, content in (
        ("model.safetensors", b"no tensors"),
        ("config.json", b'{"kind": "recognition"}'),
        ("start.nir", b"no graph"),
    ):
        shutil.rmtree(folder / "bad", ignore_errors=True)
        shutil.copytree(folder / "run", folder / "bad")
        (folder / "bad" / name).write_bytes(content)
        status, _, err = command("export.to_nir", folder, "bad")
        assert status == 2 and err.count("\n") == 1 and name in err, (name, err)


def test_commands_for_the_model_say_what_the_run_is(folder: Path):
    status, _, err = command("mdft.evaluate", folder, "run")
    assert status == 2 and "a network for recordings" in err and err.count("\n") == 1


def test_a_recording_in_both_splits_is_answered_in_one_line(tmp_path: Path):
    root = write_nmnist(tmp_path / "data") / "NMNIST"
    (root / "Test" / "0" / "00000.bin").write_bytes(recording(0, 0))
    status, _, err = motion(tmp_path, *FEW)
    assert status == 2 and "hold the same events" in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
