"""The embedded benchmark as MP4 goes the road of a user's clips, and arrives where it should."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import mdft
from mdft.config.train import TrainConfig
from mdft.data.dataset import ClipSet
from mdft.data.files.splits import PARTS
from mdft.data.sources import load_clips
from mdft.runs.preprocessing import read_preprocessing
from mdft.training.evaluation import score_split
from mdft.training.run import train
from tests.conftest import MadeOnce
from tests.mdft.data.exported_clips import RENDERED, in_memory, on_clips, prepared

pytestmark = [pytest.mark.slow, pytest.mark.rounding]


@dataclass(frozen=True)
class Road:
    """One benchmark twice: as files with a run on them, and in memory."""

    folder: Path
    config: TrainConfig
    files: ClipSet
    memory: ClipSet
    shown: str

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def clip(self) -> Path:
        """A clip of a test-unseen class."""
        name = self.files.names[int(self.files.splits["test_unseen"][0])]
        return self.folder / "exported" / "clips" / name


def make(folder: Path) -> None:
    prepared(folder)
    with (folder / "shown.txt").open("w") as shown:
        train(on_clips(folder), folder / "run", console=Console(file=shown, width=200))
    load_clips(in_memory(folder / "cache").data)


@pytest.fixture(scope="session")
def road(made_once: MadeOnce) -> Road:
    folder = made_once("folder_road", make)
    config, memory = on_clips(folder), load_clips(in_memory(folder / "cache").data)
    return Road(folder, config, load_clips(config.data), memory, (folder / "shown.txt").read_text())


def paired(road: Road) -> list[tuple[int, int]]:
    """Index of each clip in the files and in memory."""
    place = {name: i for i, name in enumerate(road.memory.names)}
    return [(i, place[Path(name).stem]) for i, name in enumerate(road.files.names)]


def test_features_and_events_are_equal_but_for_the_codecs(road: Road):
    """Benchmarks of seeds 0 to 3 gave correlations of 0.997 to 0.999 (audio), 0.997 to 0.998
    (visual) and 0.968 to 0.973 (events), and differences of 0.05 to 0.08, 0.14 to 0.16 and 0.08 to
    0.09 of what clips differ by.
    """
    files, memory = road.files, road.memory
    pairs = np.array(paired(road))
    assert len(pairs) == len(memory)
    assert np.array_equal(files.seconds_N, memory.seconds_N[pairs[:, 1]])
    rows = [np.concatenate([c.rows(p)[0] for p in pairs.T[i][:, None]])
            for i, c in ((0, files), (1, memory))]  # fmt: skip
    for name, least in (("audio_MD", 0.99), ("visual_MD", 0.98), ("events_MKD", 0.85)):
        a, b = (
            getattr(c, name)[r].astype(float) for c, r in zip((files, memory), rows, strict=True)
        )
        assert a.shape == b.shape
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > least, name
        # Not the average clip: what differs is small beside what clips differ by.
        assert np.abs(a - b).mean() < 0.25 * np.abs(b - b.mean(0)).mean(), name


def test_splits_words_and_classes_are_those_of_the_benchmark(road: Road):
    files, memory = road.files, road.memory
    assert list(files.classes) == list(memory.classes)
    np.testing.assert_array_equal(files.words_CW, memory.words_CW)
    index = dict(paired(road))
    for part in PARTS:
        found = sorted(index[int(i)] for i in files.splits[part])
        assert found == memory.splits[part].tolist(), part


def test_a_model_scores_alike_on_the_files_and_in_memory(road: Road):
    """The released model on two forms of the test clips: they differ less than the clips do.

    Seed 0, which is tested, gives 0.23; unrelated rows would give about √2.
    """
    model = mdft.load(mdft.RELEASED).model
    splits = [score_split(model, c, "test_seen", "test_unseen", 64) for c in
              (road.files, road.memory)]  # fmt: skip
    index = dict(paired(road))
    order = [
        np.concatenate([c.splits["test_seen"], c.splits["test_unseen"]])
        for c in (road.files, road.memory)
    ]
    place = {int(clip): row for row, clip in enumerate(order[1])}
    rows = [place[index[int(clip)]] for clip in order[0]]
    here, there = splits[0].distances, splits[1].distances[rows]
    assert np.array_equal(splits[0].labels, splits[1].labels[rows])
    apart = here - here.mean(0)
    assert np.abs(here - there).mean() < 0.5 * np.abs(apart).mean()


def test_training_says_where_the_words_come_from_and_is_not_done_twice(road: Road):
    assert "word vectors: words.npz, 300 wide" in road.shown
    cache = road.config.data.cache
    assert cache is not None
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    load_clips(road.config.data)
    after = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    assert {p: t for p, t in after.items() if p.name != ".lock"} == {
        p: t for p, t in before.items() if p.name != ".lock"
    }


def test_a_clip_gets_the_answer_of_the_test(road: Road):
    """From the file, with nothing but the run's folder, as from the data set."""
    model = mdft.load(road.run)
    guesses = model.predict(road.clip)
    index = road.files.splits["test_unseen"][:1]
    with torch.no_grad():
        embedded = model.model.embed_clips(road.files.batch(index))
        o_w_CE = model.model.embed_words(torch.from_numpy(road.files.words_CW))
    distances = dict(
        zip(road.files.classes, model.model.distances(embedded, o_w_CE)[0].tolist(), strict=True)
    )
    assert {g.name: g.distance for g in guesses} == pytest.approx(distances, abs=1e-6)
    beta = json.loads((road.run / "results.json").read_text())["beta"]
    assert [g.calibrated for g in guesses] == sorted(g.distance + beta * g.seen for g in guesses)
    unseen = {road.files.classes[c] for c in road.files.classes_of("test_unseen")}
    assert {g.name for g in guesses if not g.seen} == unseen
    np.testing.assert_array_equal(model.embed(road.clip), embedded.o_BRE[0, 0])


def test_a_run_on_the_benchmark_in_memory_labels_its_exported_clips(road: Road, tmp_path: Path):
    config = in_memory(road.folder / "cache")
    train(replace(config, epochs=1), tmp_path / "memory", console=Console(file=io.StringIO()))
    context = read_preprocessing(tmp_path / "memory")
    assert context.extract == read_preprocessing(road.run).extract
    assert context.features(None, None).size == RENDERED.size
    guesses = mdft.load(tmp_path / "memory").predict(road.clip)
    assert len(guesses) == len(road.memory.classes)


def test_the_librarys_example_runs(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The Python of docs/predict.md, word for word, with the names of its files."""
    text = (Path(__file__).parents[3] / "docs" / "predict.md").read_text()
    (example,) = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/mine").symlink_to(road.run)
    Path("clip.mp4").symlink_to(road.clip)
    exec(compile(example, "docs/predict.md", "exec"), {})
