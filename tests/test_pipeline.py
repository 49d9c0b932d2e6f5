"""The whole road as a user walks it: train, export, simulate, sum up, and a real clip."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import torch

import mdft
from events import pool
from events.convert import main as convert
from events.files.io import read_events
from events.video.clip import Clip
from hardware.fixed_point.quantise import input_grids, quantise
from hardware.fixed_point.reference_int import reference_int
from hardware.graph.graph import read_network
from hardware.lava.run import lava_fixed, lava_float
from hardware.probe import read_probe
from hardware.reference_float import reference_float
from mdft.data.dataset import Batch
from mdft.data.extractor import frame_features, make_extractor, sound_features
from mdft.model.mdft import MDFT
from mdft.runs.load import clips_of
from mdft.runs.preprocessing import read_preprocessing
from tests import commands
from tests.conftest import MadeOnce

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.lava, pytest.mark.slow, pytest.mark.subprocess]


def command(*arguments: object) -> tuple[int, str, str]:
    """Run ``python -m ...`` in this process: status, stdout and stderr."""
    module, *words = arguments
    return commands.run(str(module), *words, folder=ROOT)


def succeed(*arguments: object) -> str:
    status, out, err = command(*arguments)
    assert status == 0, err
    return out


def in_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` as a user would."""
    words = [sys.executable, "-m", *(str(a) for a in arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


def make(folder: Path) -> None:
    """A trained run of the debug recipe, exported, and the cache that it leaves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDFT_CACHE", str(folder / "cache"))
        flags = "--out", folder / "run", "--device", "cpu"
        done = in_a_process("mdft.train", "debug", *flags)
        assert done.returncode == 0, done.stderr
        assert "HM" in done.stdout and "chance" in done.stdout
        done = in_a_process("export.to_nir", folder / "run")
        assert done.returncode == 0, done.stderr
        assert "0 of 393,216 spikes differ" in done.stdout


@pytest.fixture(scope="module")
def run(made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = made_once("debug_run", make)
    folder = shutil.copytree(made / "run", tmp_path_factory.mktemp("road") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDFT_CACHE", str(made / "cache"))
        yield Path(folder)


def test_training_leaves_what_the_contract_names(run: Path):
    for name in ("config.json", "model.safetensors", "metrics.jsonl", "results.json"):
        assert (run / name).stat().st_size > 0
    assert list((run / "tensorboard").glob("events.out.*"))
    results = json.loads((run / "results.json").read_text())
    assert results["zsl"] >= results["unseen"]
    assert set(results["firing_rates"]) == {
        f"{pathway}.lif_{i}" for pathway in ("audio", "visual") for i in (1, 2, 3)
    }
    assert not [p for p in run.rglob("*") if "tmp" in p.name]


def test_the_checkpoint_file_names_the_run_too(run: Path):
    model = mdft.load(run / "model.safetensors").model
    assert isinstance(model, MDFT)
    assert list(model.motion) == ["audio", "visual"]
    again = succeed("export.to_nir", run / "model.safetensors", "--out", run.parent / "again")
    assert "0 of 393,216 spikes differ" in again
    for name in ("motion_audio.nir", "motion_visual.nir", "probe.npz", "manifest.json"):
        assert (run.parent / "again" / name).read_bytes() == (run / name).read_bytes()


def test_a_finished_run_is_not_overwritten_and_resumes_at_once(run: Path):
    status, _, refused = command("mdft.train", "debug", "--out", run)
    assert status == 2 and refused.count("\n") == 1
    assert "already contains a run; add --resume" in refused
    status, _, changed = command("mdft.train", "debug", "--out", run, "--resume", "--seed", 5)
    assert status == 2
    assert "was made with another" in changed and "seed" in changed
    before = (run / "model.safetensors").read_bytes()
    succeed("mdft.train", "debug", "--out", run, "--resume", "--device", "cpu")
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("pathway", ["audio", "visual"])
@pytest.mark.parametrize("backend", ["lava_float", "lava_fixed"])
def test_the_branch_runs_in_lavas_own_runtime(run: Path, backend: str, pathway: str):
    target = run / f"parity_{backend}_{pathway}.json"
    graph = run / f"motion_{pathway}.nir"
    out = succeed(
        "hardware.run", graph, run / "probe.npz", "--backend", backend,
        "--runtime", "process", "--json", target,
    )  # fmt: skip
    assert "spikes differ" in out
    result = json.loads(target.read_text())
    layers = [layer for group in result["must"].values() for layer in group]
    assert len(layers) == 3
    assert [x["differing"] for x in layers] == [0, 0, 0]


def test_the_last_screen_says_it_all(run: Path):
    out = succeed("export.summary", run)
    for word in ("S ", "U ", "HM", "ZSL", "chance", "lif_3", "nirtorch", "model.safetensors"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mdft.train", "vggsund"), "did you mean 'vggsound'?"),
        (("hardware.run", "no.nir", "no.npz", "--backend", "loihi3"), "backend is 'loihi3'"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(arguments: tuple, message: str):
    """In processes of their own; test_commands.py has the others."""
    done = in_a_process(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def sound_of(clip: Path, rate: int) -> np.ndarray:
    """The clip's sound, mono, at ``rate`` samples a second, in [−1, 1]."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(clip)) as file:
        parts = [x.to_ndarray()[0] for f in file.decode(audio=0) for x in resampler.resample(f)]
    return np.concatenate(parts)


def like_training(run: Path, name: str, features_TD: np.ndarray) -> torch.Tensor:
    """Features on the scale of the run's own, (1,T,D)."""
    return torch.from_numpy(read_preprocessing(run).scales[name](features_TD))[None]


def test_commands_start_without_a_warning():
    """All of them in one process, which imports what each of them does."""
    code = f"import {', '.join(commands.commands())}"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    helped = in_a_process("mdft.train", "--help")
    assert (helped.returncode, helped.stderr) == (0, "") and helped.stdout


def real_batch(run: Path, clip: Path, events_h5: Path) -> Batch:
    """A real clip as the model sees it: its events, and features of its frames and sound."""
    events, metadata = read_events(events_h5)
    seconds, rate = metadata.duration_us // 1_000_000, 8000
    bins = pool(events, metadata.sensor_size, seconds=seconds)
    with Clip(clip) as video:
        frames = np.stack([frame.rgb(64, 64) for frame in video])
        fps = round(video.fps)
    extractor = make_extractor(0, rate)
    audio = sound_features(sound_of(clip, rate)[: seconds * rate], extractor)
    visual = frame_features(frames[: seconds * fps], fps, extractor)
    return Batch(
        audio_BTD=like_training(run, "audio", audio),
        visual_BTD=like_training(run, "visual", visual),
        events_BTKD=torch.from_numpy(bins.astype(np.float32) / 16)[None],
        mask_BT=torch.ones(1, seconds, dtype=torch.bool),
        labels_B=torch.zeros(1, dtype=torch.int64),
    )


@pytest.mark.parametrize("pathway", ["audio", "visual"])
def test_a_real_clip_from_file_to_equal_spikes(shared_data: Path, tmp_path: Path, pathway: str):
    """The UCF101 clip: file → events → bins → spikes in PyTorch, NumPy and Lava."""
    run = mdft.RELEASED
    clip = shared_data / "clips" / "mmaction2_test.avi"
    assert convert([str(clip), str(tmp_path / "clip.h5")]) == 0
    with h5py.File(tmp_path / "clip.h5") as file:
        assert len(file["events"]) > 100_000  # type: ignore[arg-type]
    batch = real_batch(run, clip, tmp_path / "clip.h5")
    assert batch.events_BTKD.shape == (1, 6, 8, 512)
    assert (batch.events_BTKD > 0).float().mean() > 0.05

    model = mdft.load(run).model
    assert isinstance(model, MDFT)
    with torch.no_grad():
        given = model.motion_inputs(batch)[pathway]
        layers = model.branch(pathway).spikes(given.x_BSD, threshold_current=given.current_BS1)
    network = read_network(run / f"motion_{pathway}.nir")
    inputs = {"events": given.x_BSD.numpy(), "threshold_current": given.current_BS1.numpy()}
    floating = reference_float(network, inputs).spikes
    lava = lava_float(network, inputs).spikes
    for name, expected in zip(("lif_1", "lif_2", "lif_3"), layers, strict=True):
        assert 0 < expected.mean() < 1, (name, expected.mean())
        assert np.array_equal(expected.numpy(), floating[name])
        assert np.array_equal(expected.numpy(), lava[name])

    grids = read_probe(run / "probe.npz", pathway, network).grids
    integers = quantise(network, input_grids(inputs) | grids)
    twin, fixed = reference_int(integers, inputs), lava_fixed(integers, inputs)
    for name in ("lif_1", "lif_2", "lif_3"):
        assert np.array_equal(twin.spikes[name], fixed.spikes[name])


def test_the_clips_of_a_run_are_those_it_was_trained_on(run: Path):
    clips = clips_of(run)
    assert len(clips.classes) == 12
    assert sorted(clips.classes) == list(clips.classes)
