"""`python -m export.to_nir RUN --form …`, and docs/nir.md on its files."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from export.chain import ThresholdCode
from export.contract import check_export
from export.forms import Drive, export_form
from export.to_nir import main
from export.write import write_export
from hardware.run import main as run_main
from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.model.motion import MotionBranch
from tests.backends import every_backend
from tests.export.branches import firing_branch, random_drive
from tests.export.conftest import make_run
from tests.export.test_to_nir import FILES
from tests.mdft.small import D, random_clips, small_config, small_model
from tests.nir_here import reading_here

pytestmark = pytest.mark.rounding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def both(made_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's both forms; not to be changed."""
    folder, clips = tmp_path_factory.mktemp("forms"), random_clips(ragged=True)
    with pytest.MonkeyPatch.context() as patch, reading_here():
        patch.setattr("mdft.runs.load.clips_of", lambda run: clips)
        for name, form in (("out", "both"), ("alone", "chain")):
            words = [str(made_run), "--form", form, "--out", str(folder / name), "--samples", "4"]
            assert main(words) == 0
    return folder


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file())


def test_same_checkpoint_same_bytes_alone_or_with_the_other_form(both: Path):
    assert names(both / "out") == names(both / "out" / "chain") == FILES
    for name in FILES:
        first, again = (folder / name for folder in (both / "out" / "chain", both / "alone"))
        assert first.read_bytes() == again.read_bytes()


def test_the_chains_probe_holds_the_same_clips(both: Path):
    contract, _ = check_export(both / "out" / "chain")
    with np.load(both / "out/probe.npz") as file, np.load(both / "out/chain/probe.npz") as other:
        inputs, chain = dict(file), dict(other)
    for pathway, about in contract.pathways.items():
        drive = chain[f"{pathway}.in.events_and_bits"]
        events, bits = about.inputs["events_and_bits"].channels
        np.testing.assert_array_equal(drive[..., : events.count], inputs[f"{pathway}.in.events"])
        current = drive[..., events.count :] @ np.array(bits.worth)
        np.testing.assert_array_equal(current[..., None], inputs[f"{pathway}.in.threshold_current"])
        assert len(np.unique(current)) > 1
        for i in (1, 2, 3):
            for key in (f"{pathway}.spikes.lif_{i}", f"{pathway}.membrane.lif_{i}"):
                np.testing.assert_array_equal(chain[key][..., :D], inputs[key])


@every_backend
@pytest.mark.parametrize("pathway", ["audio", "visual"])
def test_the_chains_files_run_in_every_backend(both: Path, pathway: str, backend: str, capsys):
    folder = both / "out" / "chain"
    graph, probe = folder / f"motion_{pathway}.nir", folder / "probe.npz"
    assert run_main([str(graph), str(probe), "--backend", backend]) == 0
    assert "note:" not in capsys.readouterr().out


def test_the_code_of_the_docs_runs_and_finds_nothing(both: Path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/nir.md").read_text(), re.S)
    monkeypatch.chdir(both / "out" / "chain")
    exec(compile(code, "docs/nir.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{p} lif_{i} 0 spikes differ" for p in ("audio", "visual") for i in (1, 2, 3)]
    # It does compare: with another threshold it finds something.
    exec(compile(code.replace("v > lif", "v > 1.1 * lif"), "docs/nir.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() != lines
    exec(compile(code.replace("v > lif", "v >= lif"), "docs/nir.md", "exec"), {})  # ties
    assert capsys.readouterr().out.splitlines() == lines


def test_a_threshold_a_neuron_has_no_chain_and_nothing_is_written(
    tmp_path: Path, clips: ClipSet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mdft.runs.load.clips_of", lambda run: clips)
    config = small_config(model=small_model(motion=MotionConfig(per_neuron=True)))
    run = make_run(tmp_path / "run", clips, config, passes=0)
    before = names(run)
    for form in ("chain", "both"):
        with pytest.raises(UserError, match=r"form chain: .*per_neuron.*--form inputs"):
            main([str(run), "--form", form, "--samples", "2"])
    assert names(run) == before


def test_loihis_arithmetic_goes_through_both_forms(tmp_path: Path):
    branch = firing_branch(2, 20, 24, 3)
    branch.arithmetic = "loihi"
    drive = Drive(*random_drive(branch, 2), (0.25, 2.25))
    for form in ("inputs", "chain"):
        made = {"audio": export_form(form, branch, drive, "unit-gain")}
        parity = write_export(made, tmp_path / form, form=form, r_convention="unit-gain")
        assert parity.contract.arithmetic == "loihi"
        assert not parity.failed
        files = [str(tmp_path / form / x) for x in ("motion_audio.nir", "probe.npz")]
        for backend in ("reference_int", "reference_float"):  # the second is only reported
            assert run_main([*files, "--backend", backend]) == 0


def test_a_chain_in_another_unit_than_the_training_is_refused():
    for beta, bits, message in (
        (0.75, 8, "Loihi cannot hold it: affine_1: weights rounded"),
        (0.5, 4, "lif_1 would count in units of"),
    ):
        branch = MotionBranch(6, 5, 2, beta=beta, arithmetic="loihi", weight_bits=bits).eval()
        drive = Drive(*random_drive(branch, 0), (0.25, 2.25))
        export_form("inputs", branch, drive, "unit-gain")
        with pytest.raises(UserError, match=f"form chain: {message}.*use --form inputs"):
            export_form("chain", branch, drive, "unit-gain")


def test_a_code_is_described_in_the_manifest(both: Path):
    contract, _ = check_export(both / "alone")
    bits = contract.pathways["audio"].inputs["events_and_bits"].channels[1]
    assert bits.worth == ThresholdCode(2.0**-7, 9).worth
    assert contract.pathways["audio"].layers["lif_3"].relays == 0


@pytest.mark.parametrize("backend", ["lava_float", "lava_fixed"])
def test_without_lava_a_lava_backend_says_so_and_the_others_run(
    both: Path, backend: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    real = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "lava" else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    files = [str(both / "out" / name) for name in ("motion_audio.nir", "probe.npz")]
    assert run_main([*files, "--backend", backend]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "lava-nc" in printed and "Python 3.10" in printed
    assert run_main([*files, "--backend", "reference_int"]) == 0
