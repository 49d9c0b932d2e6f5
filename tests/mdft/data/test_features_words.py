"""Words of class names, their vectors, and the splits of one's own clips."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdft.data.files.splits import PARTS
from mdft.data.video.names import hashed_vector, name_vectors, words_of
from mdft.data.video.parts import draw_parts, read_parts
from mdft.errors import UserError

VECTORS = {
    "apply": np.array([1.0, 0.0, 2.0]),
    "eye": np.array([0.0, 1.0, 0.0]),
    "Paris": np.array([0.0, 0.0, 5.0]),
    "été": np.array([3.0, 4.0, 0.0]),
}


def write_text(path: Path, header: bool) -> None:
    lines = [f"{w} {' '.join(map(str, v))}" for w, v in VECTORS.items()]
    path.write_text("\n".join(["4 3"] * header + lines) + "\n", encoding="utf-8")


def write_binary(path: Path) -> None:
    content = b"4 3\n"
    for word, vector in VECTORS.items():
        content += word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n"
    path.write_bytes(content)


def write(path: Path) -> Path:
    """The vectors in the format that the path's ending says."""
    if path.suffix == ".bin":
        write_binary(path)
    elif path.suffix == ".npz":
        np.savez(path, **VECTORS)  # type: ignore[arg-type]
    elif path.suffix == ".npy":
        np.save(path, VECTORS, allow_pickle=True)  # type: ignore[arg-type]
    else:
        write_text(path, header=path.suffix == ".vec")
    return path


@pytest.mark.parametrize("ending", [".vec", ".txt", ".bin", ".npz", ".npy"])
def test_every_format_gives_the_mean_of_the_words_and_names_the_unknown(
    tmp_path: Path, ending: str
):
    path = write(tmp_path / f"words{ending}")
    found, notes = name_vectors(["ApplyEyeMakeup", "été"], path)
    mean = np.array([0.5, 0.5, 1.0])
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), rtol=1e-6)
    whole = VECTORS["été"] if ending in (".npz", ".npy") else VECTORS["été"] / 5
    np.testing.assert_allclose(found[1], whole, rtol=1e-6)
    assert "left out: makeup in 'ApplyEyeMakeup'" in notes[-1]
    with pytest.raises(UserError, match="no vector for class 'knitting'"):
        name_vectors(["knitting"], path)


def test_a_capital_in_the_file_does_not_hide_a_word(tmp_path: Path):
    found, _ = name_vectors(["paris"], write(tmp_path / "w.txt"))
    np.testing.assert_allclose(found[0], [0, 0, 1])


def test_a_dictionary_knows_whole_names(tmp_path: Path):
    path = tmp_path / "w.npz"
    np.savez(path, words=np.array(["Rope climbing", "rope"]), vectors=np.eye(2, 5) * 2)
    found, notes = name_vectors(["Rope climbing", "ropeClimbing", "ropeWalking"], path)
    np.testing.assert_array_equal(found, [[2, 0, 0, 0, 0]] * 2 + [[0, 1, 0, 0, 0]])
    assert "walking in 'ropeWalking'" in notes[-1]


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("w.txt", b"apply 1 2 3\neye 1 2\n", "line 2 has 3 fields"),
        ("w.txt", b"apply 1 2 x\n", "line 1 is not a vector"),
        ("w.txt", b"apply nan 2 3\n", "'apply' is not finite"),
        ("w.txt", b"", "empty"),
        ("w.bin", b"apply 1 2 3\n", "not a word2vec binary"),
        ("w.bin", b"2 3\napply " + bytes(12), "found no word number 1"),
        ("w.bin", b"1 3\napply " + bytes(8), "ends at word 0 of 1"),
        ("w.bin", b"1 99999999\n", "99999999 wide"),
        ("w.txt", b"apply 1 2 1e300\n", "'apply' is not finite"),
        ("w.npz", b"PK", "not an .npz"),
        ("w.npy", b"x", "not an .npy"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, named: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=named) as error:
        name_vectors(["apply"], tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_archives_that_would_fill_the_memory_and_pipes_are_refused(tmp_path: Path):
    np.savez_compressed(tmp_path / "bomb.npz", apply=np.zeros(1 << 20))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }\n"
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as file:
        magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        file.writestr("apply.npy", magic + header + bytes(64))
    np.savez(tmp_path / "none.npz", apply=np.zeros(0))
    os.mkfifo(tmp_path / "pipe.txt")
    for name, named in (
        ("bomb.npz", r"unpacks to \d+ bytes"),
        ("huge.npz", "not an .npz file of arrays"),
        ("none.npz", "expected a vector of numbers"),
        ("pipe.txt", "pipe or device, expected a file of word vectors"),
    ):
        with pytest.raises(UserError, match=named) as error:
            name_vectors(["apply"], tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)


def test_names_become_words():
    assert words_of("ApplyEye_makeup-2") == ["apply", "eye", "makeup", "2"]
    assert words_of("HTTPServer") == ["http", "server"]
    assert words_of("Élan vital, straße") == ["élan", "vital", "strasse"]
    assert words_of("cafe\u0301_au lait") == ["café", "au", "lait"]  # as macOS names files
    assert words_of("क्रिकेट-खेल") == ["क्रिकेट", "खेल"]


def test_hashed_vectors_know_spelling():
    run, runs, runner, cello = map(hashed_vector, ("run fast", "runs fast", "runner", "cello"))
    assert np.linalg.norm(run) == pytest.approx(1)
    assert run @ runs > 0.6 > abs(run @ cello) + 0.3
    assert runner @ hashed_vector("Runner") == pytest.approx(1)
    with pytest.raises(UserError, match="no letter"):
        hashed_vector("!?")


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(3, 12), min_size=4),
    st.integers(0, 99),
)
def test_parts_hold_every_clip_once_and_keep_classes_apart(counts: dict[str, int], seed: int):
    clips = {name: [f"{name}/{i}" for i in range(n)] for name, n in counts.items()}
    parts = draw_parts(clips, seed)
    assert set(parts) == set(PARTS)
    everything = [clip for names in parts.values() for clip in names]
    assert sorted(everything) == sorted(c for names in clips.values() for c in names)
    of = {part: {clip.split("/")[0] for clip in names} for part, names in parts.items()}
    assert all(of.values())
    assert not of["stage_1_train"] & of["val_unseen"]
    assert of["val_seen"] == of["stage_1_train"]
    assert of["test_seen"] == of["stage_1_train"] | of["val_unseen"]
    assert not of["test_unseen"] & of["test_seen"]
    shuffled = dict(sorted(clips.items(), reverse=True))
    assert draw_parts({k: v[::-1] for k, v in shuffled.items()}, seed) == parts


def test_too_few_classes_or_clips_are_named():
    with pytest.raises(UserError, match=r"2 classes \(a, b\), expected at least 4"):
        draw_parts({"a": ["1"] * 3, "b": ["2"] * 3}, 0)
    with pytest.raises(UserError, match="class 'd' has 2 clips, expected at least 3"):
        draw_parts({c: [f"{c}{i}" for i in range(2 if c == "d" else 4)] for c in "abcd"}, 0)
    with pytest.raises(UserError, match="split_seed is -1"):
        draw_parts({c: [f"{c}{i}" for i in range(4)] for c in "abcd"}, -1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a,b\n", "columns clip and part"),
        ("clip,part\nx,train\n", "line 2: part 'train', expected one of stage_1_train"),
        ("clip,part\nx,val_seen\nx,val_seen\n", "line 3: clip 'x' is listed twice"),
        ("clip,part\nx,val_seen\n", "no readable clip in part stage_1_train"),
    ],
)
def test_a_broken_list_of_splits_is_named(tmp_path: Path, text: str, named: str):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=named):
        read_parts(tmp_path / "s.csv", ["x"])
