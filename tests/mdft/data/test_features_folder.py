"""``python -m mdft.features``: a folder of clips becomes a benchmark; bad clips cost themselves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mdft.cli import parse, run_main
from mdft.config.data import DataConfig
from mdft.config.features import FeatureConfig
from mdft.data.dataset import ClipSet
from mdft.data.files import benchmark
from mdft.data.files.manifest import read_manifest
from mdft.data.files.portable import write_pickle
from mdft.data.files.splits import PARTS
from mdft.data.sources import load_clips
from mdft.data.video import folder as extract_folder_module
from mdft.data.video.benchmark import prepared_folder
from mdft.data.video.folder import plan, read_job
from mdft.data.video.names import hashed_vector
from mdft.data.video.parts import draw_parts
from mdft.data.video.prepare import prepare
from mdft.errors import UserError, printable
from mdft.features import Command, main
from mdft.files import only_writer
from tests.mdft.own_clips import CLASSES, write_own

SMALL = FeatureConfig(size=16)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIPS with a file that is no film, and OUT made of it."""
    folder = tmp_path_factory.mktemp("own")
    write_own(folder / "CLIPS")
    (folder / "CLIPS" / "archery" / "bad.mp4").write_text("no film")
    (folder / "CLIPS" / "archery" / "notes.txt").write_text("not a clip at all")
    return folder


def files(out: Path, **changes) -> DataConfig:
    return DataConfig(source="files", root=out, cache=out.parent / "cache", **changes)


def run(own: Path, out: Path, **changes) -> int:
    return main(Command(own / "CLIPS", out, features=SMALL, engine="sequential", **changes))


@pytest.fixture(scope="module")
def out(own: Path) -> Path:
    assert run(own, own / "OUT") == 1  # one clip is bad
    return own / "OUT"


def test_the_benchmark_holds_what_the_clips_hold(own: Path, out: Path):
    clips = benchmark.load(files(out), progress=False)
    assert sorted(clips.classes) == sorted(CLASSES)
    assert len(clips) == 12 and not [n for n in clips.names if "bad" in n]
    assert clips.events_MKD.shape == (12, 8, 512) and clips.events_MKD.dtype == np.uint8
    jobs = {job.name: job for job in plan(own / "CLIPS", out, SMALL)[0]}
    for i, name in enumerate(clips.names):
        assert clips.classes[int(clips.labels_N[i])] == name.split("/")[0]
        found = read_job(jobs[name])
        rows = slice(*clips.offsets_N1[i : i + 2])
        np.testing.assert_array_equal(clips.events_MKD[rows], found.events_TKD)
        np.testing.assert_array_equal(clips.audio_MD[rows], found.audio_TD)
        np.testing.assert_array_equal(clips.visual_MD[rows], found.visual_TD)
    assert clips.events_MKD.any()


def test_a_damaged_file_of_a_clip_is_named(own: Path, out: Path, tmp_path: Path):
    job = next(j for j in plan(own / "CLIPS", out, SMALL)[0] if j.name == "archery/0.mp4")
    whole = job.out.read_bytes()
    damaged = replace(job, out=tmp_path / "0.npz")
    for seed in range(50):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, 300, 5)] = rng.integers(0, 256, 5)  # the first header
        data[-rng.integers(1, 300, 5)] = rng.integers(0, 256, 5)  # the index
        damaged.out.write_bytes(data.tobytes())
        with contextlib.suppress(UserError):
            read_job(damaged)
    damaged.out.write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"0\.npz: damaged \(.*\); remove it and run again"):
        read_job(damaged)


def test_the_files_are_tcafs(out: Path):
    path = out / "features/clips/audio/stage_2_test_unseen"
    (found,) = path.glob("*.pkl")
    content = pickle.loads(found.read_bytes())
    assert set(content) == {"features", "video_names", "fps"}
    assert [f.shape for f in content["features"]] == [(1, 512)] * 3
    assert content["fps"] == [8.0] * 3


def test_a_second_run_does_only_what_is_new(
    own: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    real = extract_folder_module.extract_job
    monkeypatch.setattr(
        extract_folder_module, "extract_job", lambda job: (done.append(job.name), real(job))[1]
    )
    before = (out / "features.json").stat().st_mtime_ns
    assert run(own, out) == 1
    assert done == ["archery/bad.mp4"]
    assert (out / "features.json").stat().st_mtime_ns == before
    copy = tmp_path / "CLIPS"
    shutil.copytree(own / "CLIPS", copy)
    shutil.copy(copy / "archery" / "0.mp4", copy / "archery" / "new.mp4")
    (copy / "archery" / "bad.mp4").unlink()
    shutil.copytree(out, tmp_path / "OUT")
    done.clear()
    command = Command(copy, tmp_path / "OUT", features=SMALL, engine="sequential")
    assert main(command) == 0
    assert done == ["archery/new.mp4"]
    assert len(benchmark.load(files(tmp_path / "OUT"), progress=False)) == 13
    done.clear()
    assert main(replace(command, features=replace(SMALL, bins_per_second=4))) == 0
    assert len(done) == 13
    assert benchmark.load(files(tmp_path / "OUT"), progress=False).events_MKD.shape[1] == 4


def test_the_manifest_says_how_it_was_made(out: Path):
    found = json.loads((out / "features.json").read_text())
    assert found["features"] == SMALL.described() and found["words"] == "letters"


@pytest.mark.parametrize("content", [b"{", b'{"format_version": 1}', b'{"format_version": 9}'])
def test_a_manifest_that_is_damaged_or_old_is_named_and_made_anew(
    own: Path, out: Path, tmp_path: Path, content: bytes
):
    copy = tmp_path / "OUT"
    shutil.copytree(out, copy)
    good = (copy / "features.json").read_bytes()
    (copy / "features.json").write_bytes(content)
    with pytest.raises(UserError, match=r"features\.json: (damaged|format version)"):
        read_manifest(copy)
    shutil.rmtree(copy / "class-split")
    assert run(own, copy) == 1
    assert (copy / "features.json").read_bytes() == good
    assert len(benchmark.load(files(copy), progress=False)) == 12


def test_odd_names_of_clips_cost_nothing_and_of_classes_are_refused(tmp_path: Path):
    root = tmp_path / "CLIPS"
    empty(root, "ab")
    for name in (".trash/x.mp4", "a/._0.mp4"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    os.mkfifo(root / "a" / "pipe.mp4")
    odd = root / "a" / os.fsdecode(b"\xff\n\x1b[31m.mp4")
    odd.touch()
    jobs, notes = plan(root, tmp_path / "OUT", SMALL)
    assert [job.name for job in jobs] == [
        *(f"a/{i}.mp4" for i in range(3)),
        "a/pipe.mp4",  # refused by name when it is read
        f"a/{odd.name}",
        *(f"b/{i}.mp4" for i in range(3)),
    ]
    assert notes == ["note: 2 files passed over: 2 hidden"]
    for name in "cdefghij":
        (root / name).mkdir()
    assert plan(root, tmp_path / "OUT", SMALL)[1][1:] == [
        "note: nothing was found in 'c', 'd', 'e', 'f', 'g', 'h' and 2 others"
    ]
    assert printable(odd.name) == "\ufffd \ufffd[31m.mp4"
    empty(root, "\n")
    with pytest.raises(UserError, match=r"class '\\n' has spaces at its ends or unprintable"):
        plan(root, tmp_path / "OUT", SMALL)


def test_events_of_the_features_can_be_had_instead(out: Path):
    clips = load_clips(files(out, events="feature"))
    assert clips.events_MKD.shape == (12, 1, 512)


@pytest.fixture(scope="module")
def source(own: Path, tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Clips that can all be read, with their features in the cache."""
    folder = tmp_path_factory.mktemp("source")
    good = folder / "good"
    shutil.copytree(own / "CLIPS", good)
    (good / "archery" / "bad.mp4").unlink()
    config = DataConfig(source="folder", root=good, extract=SMALL, cache=folder / "cache")
    # Worker processes would cost seconds: the work is done before, in this one. The cache gets what
    # earlier code left there: the layout of one split beside the clips' features.
    prepare(good, prepared_folder(config), SMALL, split_seed=1, engine="sequential")
    return config


def test_the_folder_is_a_source_by_itself(source: DataConfig):
    clips = load_clips(replace(source, split_seed=3))
    assert len(clips) == 12 and clips.scales
    assert "carry spelling but no meaning" in clips.notes[0]
    names = [str(clips.names[i]) for i in clips.splits["test_unseen"].tolist()]
    assert len(names) == 3 and len({n.split("/")[0] for n in names}) == 1


def test_runs_of_two_splits_at_a_time_each_read_their_own(
    source: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    np.savez(tmp_path / "words.npz", **dict(zip(CLASSES, np.eye(4, 300), strict=True)))
    other = replace(source, split_seed=1, vectors=tmp_path / "words.npz")
    real, others = benchmark.load, []

    def load(config: DataConfig, progress: bool) -> ClipSet:
        """Between the preparation of one run and its reading, the other does both."""
        monkeypatch.setattr(benchmark, "load", real)
        others.append(load_clips(other))
        return real(config, progress)

    monkeypatch.setattr(benchmark, "load", load)
    found = [load_clips(source), *others]
    clips = {name: [f"{name}/{i}.mp4" for i in range(3)] for name in CLASSES}
    drawn = [draw_parts(clips, seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    for clip_set, parts in zip(found, drawn, strict=True):
        for part, names in parts.items():
            assert sorted(clip_set.names[i] for i in clip_set.splits[part]) == names
    np.testing.assert_allclose(found[0].words_CW, [hashed_vector(n) for n in found[0].classes])
    np.testing.assert_array_equal(np.sort(found[1].words_CW.argmax(1)), range(4))


def test_a_run_waits_for_another_process_and_the_command_does_not(
    own: Path, out: Path, source: DataConfig, monkeypatch: pytest.MonkeyPatch
):
    with only_writer(out), pytest.raises(UserError, match="another process is writing to it"):
        run(own, out)
    other = contextlib.ExitStack()
    said: list[str] = []

    class Stderr(io.StringIO):
        """The other process ends when this one has said that it waits."""

        def write(self, text: str) -> int:
            said.append(text)
            other.close()
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stderr())
    with other:
        other.enter_context(only_writer(prepared_folder(source)))
        assert len(load_clips(source)) == 12
    folder = prepared_folder(source)
    assert said[0] == f"{folder}: another process is writing to it; waiting for it to end"


def empty(root: Path, classes: str) -> None:
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(3):
            (root / name / f"{i}.mp4").touch()


def edit(path: Path, change) -> None:
    content = pickle.loads(path.read_bytes())
    write_pickle(path, change(content) or content)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["video_names"].__setitem__(0, "x"), "is missing"),
        (
            lambda c: c["features"].__setitem__(0, c["features"][0].repeat(2, 0)),
            "has 2 s of events",
        ),
        (lambda c: c["features"].__setitem__(0, c["features"][0] / 3.0), "expected whole numbers"),
        (
            lambda c: {**c, "features": [f[:, :100] for f in c["features"]]},
            "100 wide, expected 4096",
        ),
    ],
)
def test_events_that_do_not_fit_are_named(out: Path, tmp_path: Path, change, named: str):
    copy = tmp_path / "OUT"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("*.npz"))
    (path,) = (copy / "features/clips/events/stage_1_val_unseen").glob("*.pkl")
    edit(path, change)
    with pytest.raises(UserError, match=named) as error:
        benchmark.load(files(copy), progress=False)
    assert path.name in str(error.value) and "\n" not in str(error.value)


def test_published_features_have_no_events_of_pixels(out: Path, tmp_path: Path):
    copy = tmp_path / "OUT"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "features/clips/events")
    with pytest.raises(UserError, match=r"contains no events/.*--data\.events feature"):
        benchmark.load(files(copy), progress=False)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.mkdir(), "contains no clips"),
        (lambda root: (root.mkdir(), (root / "a.mp4").touch()), "has no class"),
        (
            lambda root: ((root / " x ").mkdir(parents=True), (root / " x /a.mp4").touch()),
            "unprintable",
        ),
        (lambda root: empty(root, "abc"), "3 classes (a, b, c), expected at least 4"),
        (lambda root: empty(root, "abcd"), "none of its 12 clips could be read"),
    ],
)
def test_a_folder_that_is_none_is_one_line(
    tmp_path: Path, make, named: str, capsys: pytest.CaptureFixture[str], monkeypatch
):
    make(tmp_path / "CLIPS")
    words = [str(tmp_path / "CLIPS"), str(tmp_path / "OUT"), "--engine", "sequential"]
    monkeypatch.setattr(sys, "argv", ["mdft.features", *words])
    with pytest.raises(SystemExit) as left:
        run_main(lambda: main(parse(Command, "python -m mdft.features")))
    assert left.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert named in lines[-1] and lines[-1].startswith("error: ")


def test_too_few_clips_in_a_class_are_named(own: Path, tmp_path: Path):
    shutil.copytree(own / "CLIPS", tmp_path / "CLIPS")
    (tmp_path / "CLIPS" / "knitting" / "0.mp4").write_text("")
    with pytest.raises(UserError, match="class 'knitting' has 2 clips, expected at least 3"):
        prepare(tmp_path / "CLIPS", tmp_path / "OUT", SMALL, engine="sequential", progress=False)


@pytest.mark.parametrize(
    ("name", "other"), [("Archery", "archery"), ("b c", "b_c"), ("caf\u00e9", "cafe\u0301")]
)
def test_classes_with_one_word_vector_are_refused_before_any_clip_is_read(
    tmp_path: Path, name: str, other: str
):
    root = tmp_path / "CLIPS"
    empty(root, "defg")
    for folder in (name, other):
        (root / folder).mkdir()
        for i in range(3):
            (root / folder / f"{i}.mp4").touch()
    with pytest.raises(UserError, match="have the same word vector") as error:
        prepare(root, tmp_path / "OUT", SMALL, engine="sequential", progress=False)
    assert repr(name) in str(error.value) and repr(other) in str(error.value)
    assert not (tmp_path / "OUT").exists()


def test_splits_that_break_the_protocol_are_refused_before_any_clip_is_read(tmp_path: Path):
    root, splits = tmp_path / "CLIPS", tmp_path / "s.csv"
    empty(root, "abcd")
    rows = [
        f"a/{i}.mp4,{part}" for i, part in enumerate(("stage_1_train", "val_seen", "test_seen"))
    ]
    rows += ["b/0.mp4,stage_1_train", "b/1.mp4,test_unseen", "c/0.mp4,val_unseen"]
    splits.write_text("\n".join(["clip,part", *rows]))
    with pytest.raises(UserError, match=r"s\.csv: .*test_unseen: class 'b' is trained on"):
        prepare(root, tmp_path / "OUT", SMALL, splits=splits, engine="sequential", progress=False)
    assert not (tmp_path / "OUT").exists()


def test_clips_without_a_row_in_the_splits_are_counted(own: Path, out: Path, tmp_path: Path):
    copy = tmp_path / "OUT"
    shutil.copytree(out, copy)
    parts = benchmark.load(files(copy), progress=False)
    rows = [
        f"{parts.names[i]};{part}"
        for part in PARTS
        for i in parts.splits[part]
        if i != parts.splits["val_seen"][0]
    ]
    (tmp_path / "s.csv").write_text("\n".join(["clip;part", *rows, "archery/bad.mp4;val_seen"]))
    left_out = parts.names[int(parts.splits["val_seen"][0])]
    found = prepare(
        own / "CLIPS", copy, SMALL, splits=tmp_path / "s.csv", engine="sequential", progress=False
    )
    assert left_out not in found.clips and len(found.clips) == 11
    (note,) = [n for n in found.notes if "no row" in n]
    assert note.startswith("note: 1 of 13 clips have no row in") and repr(left_out) in note
