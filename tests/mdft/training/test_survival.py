"""A run that is killed, runs out of disk, meets a second one or meets NaN loses nothing."""

import ast
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.files import only_writer, replacing
from mdft.runs.tensors import read_tensors, write_tensors
from mdft.training.trainer import Trainer
from tests.mdft import killed
from tests.mdft.small import random_clips, small_config

FILES = {"config.json", "metrics.jsonl", "model.safetensors", "results.json"}


def train(clips: ClipSet, folder: Path, *, resume=False, **changes) -> None:
    folder.mkdir(exist_ok=True)
    Trainer(small_config(**changes), clips, folder, lambda record: None).run(resume=resume)


def same(a: Path, b: Path) -> None:
    """The same weights and records, bit for bit, and nothing left over but the lock."""
    for name in FILES - {"results.json"}:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    scores = [json.loads((x / "results.json").read_text()) | {"seconds": 0} for x in (a, b)]
    assert scores[0] == scores[1]
    assert not [path.name for path in b.iterdir() if ".tmp" in path.name]


@pytest.mark.slow
@pytest.mark.subprocess
def test_killed_at_ten_random_moments_it_ends_as_if_it_had_not_been(whole: Path, tmp_path: Path):
    draw, ended = random.Random(0), []
    for kill in range(10):
        # Half of them in the midst of writing: before a random call of fsync or replace.
        writing = kill % 2 == 0
        process = killed.start(tmp_path, die_at=draw.randrange(10) if writing else None)
        if not writing:
            process.join(draw.uniform(0.2, 1.5))
            if process.is_alive():
                killed.kill(process)
        process.join()
        ended.append(process.exitcode)
    assert ended.count(-signal.SIGKILL) >= 5, ended
    train(random_clips(), tmp_path, resume=True)
    same(whole, tmp_path)


@pytest.mark.parametrize("die_at", [0, 1, 3, 5, 6, 7])
@pytest.mark.subprocess
def test_killed_while_writing_a_file_it_leaves_the_one_before(
    whole: Path, tmp_path: Path, die_at: int
):
    process = killed.start(tmp_path, die_at=die_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    for path in tmp_path.glob("[!.]*.safetensors"):
        read_tensors(path)  # whole, whichever it is
    train(random_clips(), tmp_path, resume=True)
    same(whole, tmp_path)


def test_cut_between_the_files_of_the_last_epoch_it_has_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped when the last of config, classes, and twice metrics and state would be replaced."""
    calls, write = 0, os.replace

    def replace(source, target):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        write(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", replace)
        train(random_clips(), tmp_path, epochs=1)
    assert not (tmp_path / "model.safetensors").exists()
    train(random_clips(), tmp_path, epochs=1, resume=True)
    records = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert [(r["stage"], r["epoch"]) for r in records] == [("stage_1", 0), ("stage_2", 0)]


@pytest.mark.subprocess
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    whole: Path, tmp_path: Path
):
    process = killed.start(tmp_path, room=100_000)  # more than config.json, less than the weights
    process.join()
    assert process.exitcode == 2
    said = (tmp_path / "error").read_text()
    assert re.search(r"File too large.*trainer\.safetensors", said)
    small = {"config.json", "classes.safetensors", "metrics.jsonl"}
    assert {p.name for p in tmp_path.iterdir()} <= {*small, "error", ".lock"}
    train(random_clips(), tmp_path, resume=True)
    same(whole, tmp_path)


@pytest.mark.subprocess
def test_a_second_process_on_the_same_folder_is_refused(whole: Path, tmp_path: Path):
    first = killed.start(tmp_path, linger=True)
    until = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(UserError, match=r"another process is writing to it; wait"):
        train(random_clips(), tmp_path, resume=True)
    killed.kill(first)
    first.join()
    train(random_clips(), tmp_path, resume=True)  # a killed process holds no lock
    same(whole, tmp_path)


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(OSError, match="/proc/nobody"), only_writer(Path("/proc/nobody")):
        pass


def test_nan_stops_with_the_names_and_keeps_the_last_epoch(tmp_path: Path):
    clips = random_clips()
    train(clips, tmp_path, epochs=1)
    before = (tmp_path / "trainer.safetensors").read_bytes()
    bad = [i for i in clips.splits["stage_1_train"] if clips.labels_N[i] == 0]
    clips.visual_MD[clips.offsets_N1[bad]] = np.nan
    with pytest.raises(UserError, match=r"stage_1 epoch 1: the loss is not finite") as caught:
        train(clips, tmp_path, batch_size=8)
    assert re.search(r"\(triplet nan, .*total nan\) on the clips ", str(caught.value))
    assert set(re.findall(r"clip\d+", str(caught.value))) & {clips.names[i] for i in bad}
    assert (tmp_path / "trainer.safetensors").read_bytes() == before
    read_tensors(tmp_path / "trainer.safetensors")


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path):
    with pytest.raises(UserError, match=r"is not finite.* a lower learning rate"):
        train(random_clips(), tmp_path, learning_rate=1e38)
    assert not (tmp_path / "trainer.safetensors").exists()


def test_a_changed_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"w": torch.arange(1000.0)}, {"epoch": 3})
    tensors, header = read_tensors(path)
    assert header == {"epoch": 3} and torch.equal(tensors["w"], torch.arange(1000.0))
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(200):
        at = draw.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=re.escape(str(path))):
            read_tensors(path)
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="not a whole safetensors file"):
            read_tensors(path)


@pytest.mark.parametrize("header", ["", "[]", "null", "{", '{"format_version": 9}', "3"])
def test_a_foreign_checkpoint_is_refused(tmp_path: Path, header: str):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.zeros(3)}, path, metadata={"mdft": header})
    with pytest.raises(UserError, match=r"format version|not a whole safetensors file"):
        read_tensors(path)


def test_a_checkpoint_of_the_first_format_loads(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.ones(3)}, path, metadata={"mdft": '{"format_version": 1, "epoch": 2}'})
    tensors, header = read_tensors(path)
    assert header == {"epoch": 2} and torch.equal(tensors["w"], torch.ones(3))


def test_a_resumed_state_of_another_kind_is_refused(tmp_path: Path):
    train(random_clips(), tmp_path, epochs=1)
    write_tensors(tmp_path / "trainer.safetensors", {}, {"stage": "one"})
    with pytest.raises(UserError, match=r"trainer\.safetensors: field stage"):
        train(random_clips(), tmp_path, epochs=1, resume=True)


def test_a_resumed_state_of_another_model_is_refused(tmp_path: Path):
    train(random_clips(), tmp_path, epochs=1)
    path = tmp_path / "trainer.safetensors"
    tensors, header = read_tensors(path)
    weight = next(name for name, x in tensors.items() if name.startswith("model.") and x.ndim == 2)
    moment = next(name for name, x in tensors.items() if name.endswith(".exp_avg") and x.ndim == 2)
    cut = {name: tensors[name][:, :1] for name in (weight, moment)}
    for changed in (
        {**tensors, weight: cut[weight]},
        {**tensors, moment: cut[moment]},
        {**tensors, "optimizer.9999.exp_avg": torch.zeros(2)},
        {**tensors, "optimizer.step": torch.zeros(2)},
        {**tensors, "rng.cpu": torch.zeros(2)},
        {name: x for name, x in tensors.items() if name != "rng.sampler"},
    ):
        write_tensors(path, changed, header)
        with pytest.raises(UserError, match=r"trainer\.safetensors: does not fit the model"):
            train(random_clips(), tmp_path, epochs=1, resume=True)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match=r"file\.txt"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def _last_name(base: ast.expr) -> str:
    return ast.unparse(base).rpartition(".")[2]


def unpickles(path: Path) -> bool:
    """Whether a module calls or extends something that can run a pickle's code."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "joblib.load"):
            return True
        if isinstance(node, ast.Call):
            for key in node.keywords:
                if key.arg == "allow_pickle" and ast.unparse(key.value) != "False":
                    return True
        if isinstance(node, ast.ClassDef) and any(
            "Unpickler" in ast.unparse(b) for b in node.bases
        ):
            return True
    return False


def test_nothing_is_unpickled_but_by_the_restricted_unpickler():
    root = Path(__file__).parents[3]
    found = {
        str(path.relative_to(root))
        for package in ("mdft", "export", "events", "hardware")
        for path in (root / package).rglob("*.py")
        if unpickles(path)
    }
    # Weights of published networks: torch's own restricted unpickler, after our scan.
    assert found <= {"mdft/data/files/unpickle.py", "mdft/data/video/weights.py"}
