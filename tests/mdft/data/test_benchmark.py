"""Feature files on the disk become the clips that they hold, once, and are then mapped."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mdft.data.dataset import ClipSet
from mdft.data.files import benchmark
from mdft.data.sources import load_clips
from mdft.errors import UserError
from tests.mdft.data.layouts import files_config, write_small


def raw(clips: ClipSet, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows, _ = clips.rows(np.array([clips.names.index(name)]))
    return clips.audio_MD[rows], clips.visual_MD[rows]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bench"


def test_every_clip_has_its_own_features_label_and_split(root: Path):
    written = write_small(root)
    clips = benchmark.load(files_config(root))
    assert sorted(clips.names) == sorted(written) and len(clips) == 28
    assert clips.classes == ["D, d", "a", "b", "c", "e", "nan", "none"]
    for name, (audio, video) in written.items():
        found = raw(clips, name)
        T = min(len(audio), len(video))
        assert np.array_equal(found[0], audio[:T]) and np.array_equal(found[1], video[:T])
        index = clips.names.index(name)
        part, rest = name.split(" ", 1)
        assert clips.classes[clips.labels_N[index]] == rest.rsplit(" ", 1)[0]
        split = part.removeprefix("stage_1_" if "val" in part else "stage_2_")
        assert index in clips.splits[part if part == "stage_1_train" else split]


def test_stage_2_trains_on_training_and_validation_clips(root: Path):
    write_small(root)
    splits = benchmark.load(files_config(root)).splits
    parts = [splits[s] for s in ("stage_1_train", "val_seen", "val_unseen")]
    assert np.array_equal(splits["stage_2_train"], np.concatenate(parts))
    assert [len(splits[s]) for s in splits] == [12, 3, 4, 5, 4, 19]


def test_both_formats_of_one_second_give_the_same_clips(tmp_path: Path):
    """Clips of one second are their own average."""
    sets = []
    for suffix in (".pkl", ".h5"):
        write_small(tmp_path / suffix, suffix, longest=1)
        sets.append(benchmark.load(files_config(tmp_path / suffix)))
    one, other = sets
    for name in ("audio_MD", "visual_MD", "events_MKD", "offsets_N1", "labels_N", "words_CW"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.names == other.names and one.classes == other.classes
    assert all(np.array_equal(one.splits[s], other.splits[s]) for s in one.splits)


def test_averaged_features_are_one_second_without_events(root: Path):
    written = write_small(root, ".h5")
    clips = benchmark.load(files_config(root))
    assert (clips.seconds_N == 1).all() and not clips.events_MKD.any()
    assert len(clips.notes) == 2 and "averaged" in clips.notes[1]
    for name, pair in written.items():
        for found, given in zip(raw(clips, name), pair, strict=True):
            np.testing.assert_allclose(found[0], given.mean(axis=0), rtol=1e-6)


def test_sound_and_pictures_meet_by_name_and_not_by_position(root: Path):
    written = write_small(root)
    path = root / "features" / "own" / "video" / "stage_1_train" / "b.pkl"
    content = pickle.loads(path.read_bytes())
    content["features"].reverse()
    content["video_names"] = content["video_names"][::-1].copy()
    path.write_bytes(pickle.dumps(content))
    clips = benchmark.load(files_config(root))
    for name, (_, video) in written.items():
        assert np.array_equal(raw(clips, name)[1], video)


def test_file_names_may_differ_in_case(root: Path):
    write_small(root)
    folder = root / "features" / "own" / "audio" / "stage_1_train"
    (folder / "D, d.pkl").rename(folder / "d, D.pkl")
    assert len(benchmark.load(files_config(root))) == 28


def test_a_list_may_have_a_mark_blank_lines_and_another_line_end(root: Path):
    write_small(root)
    before = benchmark.load(files_config(root))
    for path in (root / "class-split").rglob("*.*"):
        text = path.read_text().replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + f"{text}\r\n\r\n".encode())
    after = benchmark.load(files_config(root))
    assert before.classes == after.classes and before.names == after.names
    assert np.array_equal(before.words_CW, after.words_CW)


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4", "u1", "i4"])
def test_other_number_types_are_converted(root: Path, dtype: str):
    write_small(root)
    path = root / "features" / "own" / "audio" / "stage_1_train" / "b.pkl"
    content = pickle.loads(path.read_bytes())
    content["features"] = [(20 + 5 * np.asarray(f)).astype(dtype) for f in content["features"]]
    path.write_bytes(pickle.dumps(content))
    clips = benchmark.load(files_config(root))
    found = raw(clips, content["video_names"][0].decode())[0]
    assert np.array_equal(found, content["features"][0].astype(np.float32))


def test_batches_are_standardised_by_the_training_clips_alone(root: Path):
    written = write_small(root)
    clips = benchmark.load(files_config(root))
    train = [v for k, v in written.items() if k.startswith("stage_1_train")]
    index = clips.names.index("stage_2_test_unseen a 1")
    batch = clips.batch(np.array([index, 0]))
    for i, found in enumerate((batch.audio_BTD, batch.visual_BTD)):
        seen = np.concatenate([pair[i] for pair in train]).astype(np.float64)
        T = clips.seconds_N[index]
        given = written["stage_2_test_unseen a 1"][i]
        expected = (given - seen.mean(axis=0)) / seen.std(axis=0)
        np.testing.assert_allclose(found[0, :T].numpy(), expected, rtol=1e-5, atol=1e-6)
        assert not found[0, T:].any()


def test_the_middle_of_a_long_clip_is_kept(root: Path):
    written = write_small(root)
    clips = benchmark.load(files_config(root, max_seconds=2))
    assert clips.seconds_N.max() == 2
    for name, (audio, _) in written.items():
        start = max(0, len(audio) - 2) // 2
        assert np.array_equal(raw(clips, name)[0], audio[start : start + 2])


def write_events(root: Path, longer: int = 0) -> None:
    """Event bins of the seconds 0, 1, … of each clip, and of so many more."""
    for audio in sorted((root / "features/own/audio").glob("*/*.pkl")):
        content = pickle.loads(audio.read_bytes())
        lengths = [len(f) + longer for f in content["features"]]
        content["features"] = [
            np.arange(T, dtype=np.uint8)[:, None].repeat(512, 1) for T in lengths
        ]
        path = root / "features/own/events" / audio.relative_to(root / "features/own/audio")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("most", [None, 1, 2, 3, 5, 60])
def test_event_bins_of_the_middle_are_kept_with_it(root: Path, most: int | None):
    written = write_small(root)
    write_events(root)
    clips = benchmark.load(files_config(root, max_seconds=most, events="pixel"))
    for name, (audio, _) in written.items():
        rows, _ = clips.rows(np.array([clips.names.index(name)]))
        start = 0 if most is None else max(0, len(audio) - most) // 2
        kept = list(range(start, min(len(audio), start + (most or 60))))
        assert clips.events_MKD[rows, 0, 0].tolist() == kept


@pytest.mark.parametrize("most", [None, 1, 3, 5, 60])
@pytest.mark.parametrize("longer", [1, 2])
def test_event_bins_of_another_length_are_refused_at_every_limit(
    root: Path, most: int | None, longer: int
):
    """A clip of just --data.max-seconds looked like one whose middle was cut out."""
    write_small(root)
    write_events(root, longer)
    with pytest.raises(
        UserError, match=r"D, d\.pkl: clip 'stage_1_train D, d 0' has (\d) s of"
    ) as e:
        benchmark.load(files_config(root, max_seconds=most, events="pixel"))
    assert "s as its features have" in str(e.value)


def test_the_feature_set_must_be_named_where_there_are_two(root: Path):
    write_small(root)
    shutil.copytree(root / "features" / "own", root / "features" / "other")
    with pytest.raises(UserError, match=r"data\.features is not given.*other, own"):
        benchmark.load(files_config(root))
    assert len(benchmark.load(files_config(root, features="other"))) == 28
    with pytest.raises(UserError, match=r"'others'.*other, own"):
        benchmark.load(files_config(root, features="others"))


def test_pixels_cannot_be_had_from_feature_files_alone(root: Path):
    write_small(root, ".h5")
    with pytest.raises(UserError, match=r"events"):
        benchmark.load(files_config(root, events="pixel"))
    with pytest.raises(UserError, match=r"--data\.root is missing"):
        load_clips(replace(files_config(root), root=None))


def test_an_h5_with_variable_length_names_reads_the_same(root: Path):
    write_small(root, ".h5")
    before = benchmark.load(files_config(root))
    path = root / "features" / "own" / "audio" / "stage_1_train" / "b.h5"
    with h5py.File(path, "a") as file:
        names = [n.decode() for n in file["video_urls"][()]]  # type: ignore[index]
        del file["video_urls"]
        file["video_urls"] = names
    assert benchmark.load(files_config(root)).names == before.names


def clipclap(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One vector (D,) a clip, and WavCaps' word vectors beside CLIP's, as ClipClap writes them."""
    written = write_small(root, longest=1)
    for path in root.glob("features/own/*/*/*.pkl"):
        content = pickle.loads(path.read_bytes())
        content["features"] = [f[0] for f in content["features"]]
        path.write_bytes(pickle.dumps(content))
    text = root / "features" / "own" / "text"
    words = np.load(text / "word_embeddings_own_normed.npy", allow_pickle=True).item()
    more = {name: np.arange(4) + vector[:4] for name, vector in words.items()}
    np.save(text / "wavcaps_word_embeddings_own_normed.npy", np.array(more, dtype=object))
    return written


def test_one_vector_a_clip_is_one_second_and_words_are_concatenated(tmp_path: Path):
    written = clipclap(tmp_path / "clipclap")
    write_small(tmp_path / "plain", longest=1)
    found, plain = (benchmark.load(files_config(tmp_path / n)) for n in ("clipclap", "plain"))
    for name, pair in written.items():
        for mine, theirs in zip(raw(found, name), pair, strict=True):
            assert np.array_equal(mine, theirs)
    assert found.averaged and any("every clip is one vector" in note for note in found.notes)
    assert found.words_CW.shape == (7, 304)
    assert np.array_equal(found.words_CW[:, :300], plain.words_CW)
    np.testing.assert_allclose(found.words_CW[:, 300:], np.arange(4) + plain.words_CW[:, :4])
    widths = "300 of word_embeddings_own_normed.npy + 4 of wavcaps_word_embeddings_own_normed.npy"
    assert f"word vectors: concatenated, {widths}" in found.notes


def test_clipclaps_own_files_are_read(shared_data: Path, tmp_path: Path):
    root = shared_data / "bugs" / "clipclap"
    clips = benchmark.load(files_config(root, cache=tmp_path))
    assert clips.audio_MD.shape[1] == 1024 and clips.visual_MD.shape[1] == 512
    assert clips.words_CW.shape == (6, 1536) and (np.diff(clips.offsets_N1) == 1).all()


def test_feature_files_that_no_list_names_are_counted(root: Path):
    write_small(root)
    for kind in ("audio", "video"):
        folder = root / "features" / "own" / kind / "stage_1_train"
        shutil.copy(folder / "b.pkl", folder / "zebra.pkl")
    notes = benchmark.load(files_config(root)).notes
    (note,) = [n for n in notes if "not read" in n]
    assert note.startswith("note: 2 feature files of classes outside main_split")
    assert note.endswith("audio/stage_1_train/zebra.pkl")


def test_classes_with_one_word_vector_are_refused(root: Path):
    write_small(root)
    path = root / "features" / "own" / "text" / "word_embeddings_own_normed.npy"
    words = np.load(path, allow_pickle=True).item()
    words["the b"] = words["the c"]
    np.save(path, np.array(words, dtype=object))
    with pytest.raises(UserError, match="the classes 'b' and 'c' have the same word vector"):
        benchmark.load(files_config(root))
