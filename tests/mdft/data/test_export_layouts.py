"""The embedded benchmark as AVCA's and TCaF's files, read as their loaders read them."""

from __future__ import annotations

import csv
import itertools
import pickle
import pickletools
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mdft.config.data import DataConfig
from mdft.config.recipes import debug
from mdft.config.rendered import MOTIONS, OBJECTS, SOUNDS
from mdft.data import export as layouts
from mdft.data.dataset import ClipSet
from mdft.data.export import WITH_EVENTS, Command, export, main, manual_name
from mdft.data.files import benchmark
from mdft.data.files.benchmark import UNREAD_EVENTS
from mdft.data.rendered.classes import make_classes
from mdft.data.standardise import standardised
from mdft.errors import UserError
from tests.mdft.data.their_loaders import (
    FEATURES,
    KINDS,
    STAGES,
    their_classes,
    their_split,
    their_words,
)
from tests.mdft.small import random_clips


@pytest.fixture(scope="module", params=["avca", "tcaf"])
def written(request, tmp_path_factory) -> tuple[ClipSet, Path, str]:
    clips = random_clips(ragged=True)
    root = tmp_path_factory.mktemp(request.param) / "benchmark"
    export(clips, root, request.param, fps=16)
    return clips, root, request.param


@pytest.mark.parametrize("kind", KINDS)
def test_their_loader_finds_the_same_clips_labels_and_features(written, kind):
    clips, root, layout = written
    stages = KINDS[kind]
    audio, targets, urls = their_split(root, layout, "audio", stages)
    video, video_targets, video_urls = their_split(root, layout, "video", stages)
    assert targets == video_targets and urls == video_urls  # read_dataset asserts it
    where = {name: i for i, name in enumerate(clips.names)}
    splits = ["stage_2_train"] if kind == "train_val" else [STAGES[stage] for stage in stages]
    expected = sorted(i for s in splits for i in clips.splits[s].tolist())
    assert sorted(where[url] for url in urls) == expected
    for url, target, a, v in zip(urls, targets, audio, video, strict=True):
        i = where[url]
        assert target == clips.labels_N[i]
        rows = range(clips.offsets_N1[i], clips.offsets_N1[i + 1])
        for found, features_MD in ((a, clips.audio_MD), (v, clips.visual_MD)):
            assert found.dtype == np.float32 and found.flags.c_contiguous
            seconds = np.stack([features_MD[row] for row in rows])
            if layout == "tcaf":
                np.testing.assert_array_equal(found, seconds)
            else:
                mean = sum(second.astype(np.float64) for second in seconds) / len(rows)
                np.testing.assert_allclose(found, mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_set_with_events_has_each_bin_beside_the_features_of_its_second(written, kind):
    clips, root, layout = written
    where = {name: i for i, name in enumerate(clips.names)}
    for modality in ("audio", "video"):
        given = root, layout, modality, KINDS[kind]
        found, targets, urls = their_split(*given, WITH_EVENTS[layout])
        _, narrow_targets, narrow_urls = their_split(*given)
        assert (targets, urls) == (narrow_targets, narrow_urls)
        for url, rows in zip(urls, found, strict=True):
            start, stop = clips.offsets_N1[where[url]], clips.offsets_N1[where[url] + 1]
            expected = []
            for t in range(start, stop):
                for bin_ in clips.events_MKD[t]:
                    wide = [*clips.visual_MD[t].tolist(), *(bin_ / 16).tolist()]
                    expected.append(clips.audio_MD[t].tolist() if modality == "audio" else wide)
            assert rows.dtype == np.float32
            if layout == "tcaf":
                np.testing.assert_array_equal(rows, np.array(expected, np.float32))
            else:
                np.testing.assert_allclose(rows, np.mean(expected, axis=0), rtol=1e-5, atol=1e-6)


def test_events_are_bytes_that_our_reader_takes_as_pixel_events(written, tmp_path):
    clips, root, layout = written
    sets = {path.name: path for path in (root / "features").iterdir()}
    assert set(sets) == {FEATURES[layout], WITH_EVENTS[layout]}
    assert not (sets[WITH_EVENTS[layout]] / "events").exists()
    folder = sets[FEATURES[layout]] / "events"
    assert folder.exists() == (layout == "tcaf")
    if layout == "avca":
        return
    where = {name: i for i, name in enumerate(clips.names)}
    for stage, split in STAGES.items():
        names = []
        for path in (folder / stage).iterdir():
            content = pickle.loads(path.read_bytes())
            for name, bins in zip(content["video_names"], content["features"], strict=True):
                rows = slice(*clips.offsets_N1[where[name] : where[name] + 2])
                assert bins.dtype == np.uint8
                np.testing.assert_array_equal(bins, clips.events_MKD[rows].reshape(len(bins), -1))
            names += content["video_names"]
        assert sorted(names) == sorted(clips.names[i] for i in clips.splits[split])


def test_our_own_reader_takes_it_back(written, tmp_path, capsys):
    clips, root, layout = written
    given = {"source": "files", "root": root, "features": FEATURES[layout], "cache": tmp_path}
    back = benchmark.load(DataConfig(events="feature", **given))
    assert (UNREAD_EVENTS in back.notes) == (layout == "tcaf")
    assert list(back.classes) == list(clips.classes)
    np.testing.assert_array_equal(back.words_CW, clips.words_CW)
    for split in clips.splits:
        names = [sorted(c.names[int(i)] for i in c.splits[split]) for c in (back, clips)]
        assert names[0] == names[1] and names[0]
    where = {name: i for i, name in enumerate(back.names)}
    for i, name in enumerate(clips.names):
        j = where[name]
        assert back.labels_N[j] == clips.labels_N[i]
        for ours, theirs in ((clips.audio_MD, back.audio_MD), (clips.visual_MD, back.visual_MD)):
            expected = ours[clips.offsets_N1[i] : clips.offsets_N1[i + 1]]
            found = theirs[back.offsets_N1[j] : back.offsets_N1[j + 1]]
            if layout == "tcaf":
                np.testing.assert_array_equal(found, expected)
            else:
                mean = expected.astype(np.float64).mean(axis=0, keepdims=True)
                np.testing.assert_allclose(found, mean, rtol=1e-6, atol=1e-7)


def test_their_loader_gives_each_class_its_own_words(written):
    clips, root, layout = written
    words_CW, meant_for = their_words(root, layout)
    assert words_CW.dtype == np.float32
    # They index the sorted vectors by the class: right only if the two orders are one.
    assert meant_for == list(range(len(clips.classes)))
    np.testing.assert_array_equal(words_CW, clips.words_CW)


def test_lists_name_the_classes_and_clips_of_each_stage(written):
    clips, root, layout = written
    lists = root / "class-split"
    assert their_classes(lists / "all_class.txt") == list(clips.classes)
    for stage, split in STAGES.items():
        classes = [clips.classes[c] for c in clips.classes_of(split)]
        assert their_classes(lists / f"main_split/{stage}.txt") == classes
        for modality in ("audio", "video"):
            folder = root / "features" / FEATURES[layout] / modality / stage
            assert sorted(path.stem for path in folder.iterdir()) == classes
        with (lists / f"main_split/{stage}.csv").open(newline="") as file:
            rows = [(r["filename"], r["label"], int(r["label_code"])) for r in csv.DictReader(file)]
        ids = [(i, int(clips.labels_N[i])) for i in clips.splits[split].tolist()]
        assert sorted(rows) == sorted((clips.names[i], clips.classes[c], c) for i, c in ids)


def test_files_are_named_and_made_as_the_published_ones(written, shared_data):
    _, root, _ = written
    real = shared_data / "avgzsl/UCF/class-split"
    for folder in (".", "main_split"):
        ours = {path.name for path in (root / "class-split" / folder).iterdir()}
        assert ours == {path.name for path in (real / folder).iterdir()} - {"cls_split"}
    for table in ("ucf_w2v_class_names.csv", "main_split/stage_1_train.csv"):
        first = [(f / table).read_text().splitlines()[0] for f in (root / "class-split", real)]
        assert first[0] == first[1]
    words, again = root.glob("features/*/text/*.npy")
    assert words.read_bytes() == again.read_bytes()
    published = shared_data / "avgzsl/text" / words.name
    assert made_of(words) == made_of(published)


def made_of(path: Path) -> tuple[object, set[str]]:
    """Header of a .npy, and what its pickle names."""
    with path.open("rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
        header = np.lib.format.read_array_header_1_0(file)
        return header, globals_of(file.read())


def globals_of(data: bytes) -> set[str]:
    return {str(name) for code, name, _ in pickletools.genops(data) if code.name == "GLOBAL"}


def test_h5_and_pickles_are_what_old_libraries_read(written):
    _, root, layout = written
    old = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    for path in (root / "features").rglob("*.*"):
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                data, urls = file["data"], file["video_urls"]
                assert isinstance(data, h5py.Dataset) and isinstance(urls, h5py.Dataset)
                assert file.keys() == {"data", "video_urls"}
                assert data.dtype == np.float32 and urls.dtype == np.dtype("S80")
        elif path.suffix == ".pkl":
            content = path.read_bytes()
            # Python 3.8 and NumPy 1.20 read protocol 3 and these names.
            assert content[:2] == b"\x80\x03" and globals_of(content) == old
    assert {p.suffix for p in (root / "features").rglob("*.*")} == {
        ".npy",
        {"avca": ".h5", "tcaf": ".pkl"}[layout],
    }


def test_the_same_clips_are_the_same_bytes(written, tmp_path):
    clips, root, layout = written
    export(clips, tmp_path / "again", layout, fps=16)
    files = {p.relative_to(root) for p in root.rglob("*") if p.is_file()}
    assert files == {
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    }
    assert all((root / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)


def test_every_class_of_the_benchmark_keeps_its_rank_as_words():
    names = sorted("-".join(parts) for parts in itertools.product(OBJECTS, MOTIONS, SOUNDS))
    words = [manual_name(name) for name in names]
    assert words == sorted(words) and len(set(words)) == len(words)
    assert manual_name("spotted_star-orbits_cw-hum") == "spotted star orbits cw hum"


def test_the_command_writes_the_benchmark_of_a_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert main(Command(out, "tcaf", seed=1, recipe="debug")) == 0
    assert "72 clips of 12 classes" in capsys.readouterr().out
    names = [c.name for c in make_classes(1, debug().data.rendered.counts)]
    assert their_classes(out / "class-split/all_class.txt") == names
    assert names != [c.name for c in make_classes(0, debug().data.rendered.counts)]
    audio, targets, _ = their_split(out, "tcaf", "audio", KINDS["train_val"])
    # np.array(data)[mask], as their all_data has it: (n,T,D), raw, so not negative.
    stacked = np.array(audio)
    assert stacked.shape == (len(targets), 2, 512) and stacked.min() >= 0


def with_names(**changes) -> ClipSet:
    return replace(random_clips(), **changes)


CLASSES = [f"class{c:02d}" for c in range(12)]


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (standardised(random_clips()), "standardised"),
        (with_names(classes=[*CLASSES[:11], "Class00"]), "equal but for case"),
        (with_names(classes=["a/b", *CLASSES[1:]]), "'a/b'"),
        (with_names(classes=[" class", *CLASSES[1:]]), "' class'"),
        (with_names(classes=["a-z", "a_b", *CLASSES[2:]]), "another order"),
        (with_names(names=[*(f"clip{i}" for i in range(95)), "é" * 41]), "at most 80 bytes"),
        (with_names(splits={**random_clips().splits, "stage_2_train": np.arange(3)}), "stage_2"),
        (with_names(splits={**random_clips().splits, "val_seen": np.arange(0)}), "val_seen"),
    ],
)
def test_what_their_loaders_would_misread_is_refused(tmp_path, clips, message):
    with pytest.raises(UserError, match=message):
        export(clips, tmp_path / "out", "avca", fps=16)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export(random_clips(), out, "avca", fps=16)  # an empty one is taken
    before = sorted(out.rglob("*"))
    with pytest.raises(UserError, match="out: exists already"):
        export(random_clips(seed=1), out, "avca", fps=16)
    assert sorted(out.rglob("*")) == before and list(tmp_path.iterdir()) == [out]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(layouts, "write_pickle", fail)
    with pytest.raises(OSError, match="no space"):
        export(random_clips(), tmp_path / "out", "tcaf", fps=16)
    assert not list(tmp_path.iterdir())


def test_a_class_of_one_clip_is_written(tmp_path):
    clips = random_clips()
    keep = {s: i[(clips.labels_N[i] != 0) | (i == i[0])] for s, i in clips.splits.items()}
    keep["stage_2_train"] = np.concatenate(
        [keep[s] for s in ("stage_1_train", "val_seen", "val_unseen")]
    )
    export(replace(clips, splits=keep), tmp_path / "out", "avca", fps=16)
    _, targets, urls = their_split(tmp_path / "out", "avca", "audio", ["stage_1_train"])
    assert targets.count(0) == 1 and urls[targets.index(0)] == "clip0"
