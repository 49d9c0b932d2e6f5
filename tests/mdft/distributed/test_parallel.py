"""Several processes train the model that one trains, and one of them speaks for all."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mdft.config.model import LossConfig, MotionConfig
from mdft.distributed.world import World
from mdft.errors import UserError
from mdft.files import only_writer
from mdft.runs.tensors import read_tensors
from mdft.systems.build import build
from tests.mdft import several
from tests.mdft.several import CONFIG, together
from tests.mdft.small import small_model

pytestmark = [pytest.mark.rounding, pytest.mark.slow, pytest.mark.subprocess]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int, Path]:
    """The same run by one process and by two."""
    folders = {size: tmp_path_factory.mktemp(f"by{size}") for size in (1, 2)}
    for size, folder in folders.items():
        outcome = together(folder.parent, size, several.train, CONFIG, folder)
        assert outcome.said == ""
        assert outcome.found == [3, 0][:size]  # only the first one reports
    return folders


def records_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_curves(a: Path, b: Path) -> None:
    """Loss terms to 1e-9, every spike counted alike."""
    for one, other in zip(records_of(a), records_of(b), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-9)
        for name in ("stage", "epoch", "firing_rates", "firing_spread", "dead_neurons"):
            assert one[name] == other[name]


def same_weights(a: Path, b: Path) -> None:
    """Each weight to 1e-9: a millionth of a step of Adam."""
    (ours, _), (theirs, _) = (read_tensors(x / "trainer.safetensors") for x in (a, b))
    for name, parameter in build(CONFIG).named_parameters():
        one, other = ours[f"model.{name}"], theirs[f"model.{name}"]
        assert one.shape == other.shape == parameter.shape and one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9, msg=name)


def test_two_processes_train_what_one_trains(runs: dict[int, Path]):
    same_curves(runs[1], runs[2])
    same_weights(runs[1], runs[2])
    assert {p.name for p in runs[2].iterdir()} == {p.name for p in runs[1].iterdir()}


def test_a_run_goes_on_with_another_number_of_processes(runs: dict[int, Path], tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    cut = together(tmp_path, 2, several.train, CONFIG, folder, False, 1)
    assert cut.status == [130, 2] and cut.said == "interrupted\n"
    assert len(records_of(folder)) == 1
    outcome = together(tmp_path, 3, several.train, CONFIG, folder, True)
    assert outcome.found[0] == 2 and outcome.said == ""
    same_curves(runs[1], folder)
    same_weights(runs[1], folder)


SWITCHES = {
    "whole": {},
    "no reconstruction": {"loss": LossConfig(reconstruction=False)},
    "reconstruction alone": {"loss": LossConfig(triplet=False, projection=False)},
    "rates above the limit": {"loss": LossConfig(rate_limit=0.05)},
    "no motion, no RJLU": {"model": small_model(motion=MotionConfig(enabled=False), rjlu=False)},
    "MLP": {"model": small_model(motion=MotionConfig(network="mlp"))},
    "integers, no CRM": {"model": small_model(motion=MotionConfig(arithmetic="loihi"), crm=False)},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """The gradients under every switch, of each of the same two processes."""
    configs = [dataclasses.replace(CONFIG, **change) for change in SWITCHES.values()]
    outcome = together(tmp_path_factory.mktemp("gradients"), 2, several.gradients, *configs)
    assert outcome.said == "" and outcome.status == [0, 0]
    return dict(zip(SWITCHES, zip(*outcome.found, strict=True), strict=True))


@pytest.mark.parametrize("switch", SWITCHES)
def test_gradients_are_those_of_the_joint_batch(shared: dict[str, tuple], switch: str):
    config, found = dataclasses.replace(CONFIG, **SWITCHES[switch]), shared[switch]
    (whole,) = several.gradients(config)
    for step, alone in enumerate(whole):
        for rank in range(2):
            for ours, expected in zip(found[rank][step], alone, strict=True):
                assert ours.keys() == expected.keys()
                # A clip's share of the seconds is float32, in the firing rates of any model.
                close = 1e-7 if switch == "rates above the limit" else 1e-11
                largest = max(float(x.abs().max()) for x in expected.values())
                for name, value in expected.items():
                    torch.testing.assert_close(
                        ours[name], value, rtol=0, atol=close * largest, msg=name
                    )
    for one, other in zip(*found, strict=True):
        for first, second in zip(one, other, strict=True):
            assert all(torch.equal(first[name], second[name]) for name in first)


def test_normalisation_and_dropout_are_those_of_all_rows(tmp_path: Path):
    x_MD = torch.randn(9, 4, dtype=torch.float64) + 3
    x_MD[0] = 1e4  # the mean is far from the deviation of the others
    starts = [0, 5, 6, 9]
    outcome = together(tmp_path, 3, several.layers, x_MD, starts)
    # The gradient that each row is given depends on its place in its process, so: the same rows.
    (whole,) = together(tmp_path, 1, several.layers, x_MD, starts).found
    y_MD = torch.cat([found["y"] for found in outcome.found])
    torch.testing.assert_close(y_MD, whole["y"], rtol=1e-12, atol=1e-12)
    assert ((y_MD == 0) == (whole["y"] == 0)).all() and 5 < int((y_MD == 0).sum()) < 30
    for found in outcome.found:
        for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
            torch.testing.assert_close(found[name], whole[name], rtol=1e-12, atol=0)


def test_rows_and_means_are_exchanged_with_their_gradients(tmp_path: Path):
    x_RX = torch.randn(5, 3)
    found = together(tmp_path, 2, several.exchanged, x_RX).found
    for all_RX, mean, _ in found:
        assert torch.equal(all_RX, x_RX)
        torch.testing.assert_close(mean, x_RX.mean())
    slopes = torch.cat([slope for _, _, slope in found])
    # Of the sum over both processes of the same loss, hence twice its gradient.
    torch.testing.assert_close(slopes, 2 * (x_RX + 1 / x_RX.numel()))


@given(st.integers(1, 9), st.integers(0, 40))
def test_shares_part_the_rows(size: int, more: int):
    shares = [World(rank, size).rows(size + more) for rank in range(size)]
    assert [i for share in shares for i in range(size + more)[share]] == list(range(size + more))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_fewer_clips_than_processes_are_refused():
    with pytest.raises(UserError, match="a batch of 2 clips is shared by 3 processes"):
        World(0, 3).rows(2)


MISTAKES = [
    (2, several.fail_in, (0,), "clip.h5: process 0 cannot read it"),
    (2, several.fail_in, (1,), "clip.h5: process 1 cannot read it"),
    (2, several.run_command, ("debgu",), "recipe is 'debgu'"),
    (2, several.run_command, ("debug", "--model", "avca"), "is trained by one process"),
    (3, several.run_command, ("debug", "--batch-size", "2"), "is shared by 3 processes"),
]


@pytest.mark.parametrize(("size", "work", "arguments", "message"), MISTAKES)
def test_a_mistake_is_said_once_and_ends_all(
    tmp_path: Path, size: int, work, arguments, message: str
):
    out = () if work is several.fail_in else ("--out", str(tmp_path / "run"))
    outcome = together(tmp_path, size, work, *arguments, *out)
    assert outcome.status == [2] * size
    assert outcome.said.count("\n") == 1
    assert outcome.said.startswith("error: ") and message in outcome.said
    assert not (tmp_path / "run").exists()


def test_a_folder_that_another_run_holds_is_said_once(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    with only_writer(folder):
        outcome = together(tmp_path, 2, several.train, CONFIG, folder)
    assert outcome.status == [2, 2]
    assert outcome.said.count("\n") == 1 and "another process is writing to it" in outcome.said


@pytest.mark.slow
def test_torchrun_goes_on_after_a_process_is_killed(runs: dict[int, Path], tmp_path: Path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", "2", "--max-restarts", "1", "-m", "tests.mdft.several"]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([*torchrun, str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    epochs = ["0: stage_1 0", "1: stage_1 1", "1: stage_2 0"]  # of each attempt; each of them once
    assert (tmp_path / "epochs").read_text().splitlines() == epochs
    same_curves(runs[1], tmp_path / "run")
    same_weights(runs[1], tmp_path / "run")
