"""A saved run tested again: the same row, its tables, and what cannot be tested."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mdft.cli import run_main
from mdft.config.model import LossConfig
from mdft.data.dataset import ClipSet
from mdft.errors import UserError
from mdft.evaluate import Command, main
from mdft.runs.folder import read_results, write_results
from mdft.systems.interface import exact_distances
from mdft.systems.mdft import MDFTSystem
from mdft.training.evaluation import evaluate, score_split
from mdft.training.tables import kinds_table
from mdft.training.trainer import Trainer
from tests.mdft.small import random_clips, small_config, small_model

pytestmark = pytest.mark.rounding


def trained(folder: Path, clips: ClipSet) -> Path:
    folder.mkdir()
    Trainer(small_config(), clips, folder, lambda _: None).run()
    return folder


@pytest.fixture(scope="module")
def run(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(whole, tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(autouse=True)
def _their_clips(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mdft.training.evaluation.clips_of", lambda _: random_clips())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["", "model.safetensors"])
def test_the_row_of_training_comes_back_to_the_last_digit(run: Path, name: str):
    found = evaluate(run / name)
    assert found.results == read_results(run) and found.changed == []


def test_tables_agree_with_the_scores_and_with_a_plain_count(run: Path, capsys):
    assert main(Command(run)) == 0
    assert "equal to results.json" in capsys.readouterr().out
    found = evaluate(run)
    clips, split, beta = found.clips, found.split, found.results.beta
    tested = np.concatenate([clips.splits["test_seen"], clips.splits["test_unseen"]])
    calls = {}
    for distances, clip in zip(split.distances.tolist(), tested.tolist(), strict=True):
        costs = [d + beta * bool(s) for d, s in zip(distances, split.seen, strict=True)]
        called = clips.classes[int(split.classes[costs.index(min(costs))])]
        true = clips.classes[int(clips.labels_N[clip])]
        calls[true, called] = calls.get((true, called), 0) + 1
    confusion, rows = table(run / "confusion.csv"), table(run / "per_class.csv")
    names = [row["class"] for row in rows]
    assert names == [row["class"] for row in confusion] == list(clips.classes)
    for row in confusion:
        assert list(row) == ["class", "kind", *names]
        counts = {name: int(row[name]) for name in names}
        assert counts == {name: calls.get((row["class"], name), 0) for name in names}
    columns = {"gzsl_recall": "seen", "zsl_recall": "unseen"}
    recalls = {
        (column, kind): [float(r[column]) for r in rows if r["kind"] == kind and r[column]]
        for column in columns
        for kind in columns.values()
    }
    assert np.mean(recalls["gzsl_recall", "seen"]) == pytest.approx(found.results.seen)
    assert np.mean(recalls["gzsl_recall", "unseen"]) == pytest.approx(found.results.unseen)
    assert np.mean(recalls["zsl_recall", "unseen"]) == pytest.approx(found.results.zsl)
    assert recalls["zsl_recall", "seen"] == []
    for row, counts in zip(rows, confusion, strict=True):
        clips_of_class = sum(int(counts[name]) for name in names)
        assert int(row["clips"]) == clips_of_class > 0
        assert float(row["gzsl_recall"]) == int(counts[row["class"]]) / clips_of_class
    assert not [p for p in run.iterdir() if "tmp" in p.name]


def test_seen_against_unseen_in_per_cent(run: Path):
    found = evaluate(run)
    split = replace(
        found.split,
        distances=np.array([[0.0, 1], [0, 1], [0, 1], [1, 0]]),
        labels=np.array([0, 0, 1, 1]),
        seen=np.array([True, False]),
    )
    # β = 2 turns every call but none of the clips: seen 2 of 2, unseen 2 of 2 called unseen.
    for beta, seen_row, unseen_row in ((0, (100, 0), (50, 50)), (2, (0, 100), (0, 100))):
        columns = [list(column.cells) for column in kinds_table(split, beta).columns]
        assert columns[0] == ["seen classes", "unseen classes"]
        assert [float(str(c[0])) for c in columns[1:]] == list(seen_row)
        assert [float(str(c[1])) for c in columns[1:]] == list(unseen_row)


def test_json_is_one_line_that_a_machine_reads(run: Path, capsys):
    assert main(Command(run / "model.safetensors", json=True)) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and not err
    row = json.loads(out)
    assert row.pop("run") == str(run) and row.pop("changed") == []
    assert row == json.loads((run / "results.json").read_text())


def test_another_result_than_the_saved_one_is_said(run: Path, tmp_path: Path, capsys):
    other = shutil.copytree(run, tmp_path / "other")
    saved = read_results(other)
    write_results(other, replace(saved, hm=saved.hm + 0.125, zsl=saved.zsl + 0.001))
    assert main(Command(other, json=True)) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["changed"] == ["hm", "zsl"] and json.loads(out)["hm"] == saved.hm
    assert err.splitlines()[0] == f"note: hm is {saved.hm}, results.json has {saved.hm + 0.125}"
    assert main(Command(other)) == 0
    assert "equal to results.json" not in capsys.readouterr().out


def one_clip_each() -> ClipSet:
    """Two clips of class 0 in all: one to train on and one to test; one test clip of each class."""
    clips = random_clips()
    labels = clips.labels_N
    first = {
        name: np.array([i[labels[i] == c][0] for c in np.unique(labels[i])])
        for name, i in clips.splits.items()
    }
    splits = {**clips.splits, **{name: first[name] for name in first if not name.endswith("train")}}
    train = clips.splits["stage_1_train"]
    splits["stage_1_train"] = train[(labels[train] > 0) | (train == train[0])]
    parts = ("stage_1_train", "val_unseen")
    splits["stage_2_train"] = np.concatenate([splits[part] for part in parts])
    return replace(clips, splits=splits)


def test_classes_of_one_clip_train_and_are_scored(tmp_path: Path, monkeypatch):
    clips = one_clip_each()
    monkeypatch.setattr("mdft.training.evaluation.clips_of", lambda _: clips)
    folder = trained(tmp_path / "run", clips)
    assert main(Command(folder, json=True)) == 0
    assert evaluate(folder).changed == []
    rows = table(folder / "per_class.csv")
    assert {row["clips"] for row in rows} == {"1"}
    assert {row["gzsl_recall"] for row in rows} <= {"0.0", "1.0"}
    assert np.isfinite([asdict(read_results(folder))[k] for k in ("seen", "unseen", "hm")]).all()


@pytest.mark.parametrize(
    ("split", "clips", "message"),
    [
        ("test_unseen", [], "test_unseen is 'empty', expected at least one clip"),
        ("test_seen", [], "test_seen is 'empty', expected at least one clip"),
        ("test_seen", [0, 95], r"test_seen and test_unseen share is \['class11'\]"),
    ],
)
def test_splits_that_cannot_be_scored_are_named(split, clips, message):
    broken = random_clips()
    broken = replace(broken, splits={**broken.splits, split: np.array(clips, dtype=np.int64)})
    with pytest.raises(UserError, match=message):
        score_split(MDFTSystem(small_model(), LossConfig()), broken, "test_seen", "test_unseen", 24)


def narrower(clips: ClipSet) -> ClipSet:
    return replace(clips, visual_MD=clips.visual_MD[:, :20])


def other_test_clips(clips: ClipSet) -> ClipSet:
    """One test clip less; the classes are the same."""
    return replace(
        clips, splits={**clips.splits, "test_seen": np.delete(clips.splits["test_seen"], 0)}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_test_clips, "the data is no longer that of this run: the split test_seen has other"),
        (narrower, "width of the features is (32, 32), expected 32 (audio) and 20 (visual)"),
    ],
)
def test_data_that_has_changed_is_not_scored(
    run: Path, tmp_path: Path, monkeypatch, capsys, change, message: str
):
    folder = shutil.copytree(run, tmp_path / "run")
    clips = change(random_clips())
    monkeypatch.setattr("mdft.training.evaluation.clips_of", lambda _: clips)
    before = sorted((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    with pytest.raises(SystemExit) as left:
        run_main(lambda: main(Command(folder)))
    out, err = capsys.readouterr()
    assert left.value.code == 2 and err.count("\n") == 1 and message in err and not out
    assert sorted((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()) == (
        before
    )


@pytest.mark.parametrize(
    ("missing", "named"),
    [("results.json", "no results.json"), ("model.safetensors", "no model.safetensors")],
)
def test_an_unfinished_run_is_answered_in_one_line(run, tmp_path, capsys, missing, named):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / missing).unlink()
    before = sorted(folder.iterdir())
    with pytest.raises(SystemExit) as left:
        run_main(lambda: main(Command(folder)))
    out, err = capsys.readouterr()
    assert left.value.code == 2 and err.count("\n") == 1 and named in err and not out
    assert sorted(folder.iterdir()) == before


def test_distances_are_euclidean_in_float64():
    x, y = torch.randn(5, 7), torch.randn(4, 7)
    expected = [[np.linalg.norm((a - b).double().numpy()) for b in y] for a in x]
    np.testing.assert_allclose(exact_distances(x, y), expected, rtol=1e-6)
