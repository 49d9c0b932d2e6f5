"""Words of class names, their vectors, and the splits of one's own clips."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import unicodedata
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


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("ending", [".vec", ".txt", ".bin"])
def test_compressed_files_are_read_as_they_are(tmp_path: Path, compress, ending: str):
    plain = write(tmp_path / f"words{ending}")
    kind = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz"}[compress]
    packed = tmp_path / f"packed{ending}{kind}"
    packed.write_bytes(compress(plain.read_bytes()))
    expected, _ = name_vectors(["apply eye", "été"], plain)
    np.testing.assert_array_equal(name_vectors(["apply eye", "été"], packed)[0], expected)


def test_a_compressed_file_that_is_cut_short_is_named(tmp_path: Path):
    packed = gzip.compress(write(tmp_path / "w.bin").read_bytes())
    for length in (3, 20, len(packed) // 2):
        (tmp_path / "cut.bin.gz").write_bytes(packed[:length])
        with pytest.raises(UserError, match=r"cut\.bin\.gz: .*(cut short|truncated)"):
            name_vectors(["été"], tmp_path / "cut.bin.gz")


@pytest.mark.parametrize("header", ["4 3\n", ""])
@pytest.mark.parametrize("first", [True, False])
def test_a_word_that_is_white_space_costs_its_line_only(tmp_path: Path, header: str, first: bool):
    blank, words = "  1.5 2 3\n", "apply 1 0 2\neye 0 1 0\n"
    path = tmp_path / "w.txt"
    path.write_text(header + (blank + words if first else words + blank))
    found, notes = name_vectors(["apply", "eye"], path)
    np.testing.assert_allclose(found, [[0.2**0.5, 0, 0.8**0.5], [0, 1, 0]], rtol=1e-6)
    assert notes[-1] == "note: w.txt: lines whose word is white space, skipped: 1"


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
        ("w.txt", b"\x1f\x8b" + bytes(20), "damaged or cut short"),
        ("w.txt", b"PK\x03\x04" + bytes(20), "is a zip archive; unpack it"),
        ("w.bin", (793712314).to_bytes(4, "little") + bytes(9), "is a fastText model"),
        ("w.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
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
        ("clip,part\nx,val_seen\nz/y.mp4,val_seen\n", r"line 3: there is no clip 'z/y.mp4'"),
        ("clip,part\nz,val_seen\nx,val_seen\ny,val_seen\n", r"line 2.* 'z'.* \(2 such rows\)"),
    ],
)
def test_a_broken_list_of_splits_is_named(tmp_path: Path, text: str, named: str):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=named):
        read_parts(tmp_path / "s.csv", ["x"])


#: A clip of each part, of classes that the protocol allows there.
ONE_EACH = {
    "stage_1_train": "été/stage_1_train.mp4",
    "val_seen": "été/val_seen.mp4",
    "val_unseen": "noël/val_unseen.mp4",
    "test_seen": "été/test_seen.mp4",
    "test_unseen": "père/test_unseen.mp4",
}


@pytest.mark.parametrize(
    ("part", "clip", "named"),
    [
        ("val_seen", "père/0.mp4", "part val_seen: class 'père' is not among the training classes"),
        ("val_unseen", "été/0.mp4", "part val_unseen: class 'été' is a training class"),
        ("test_seen", "père/0.mp4", "part test_seen: class 'père' is not trained on in stage 2"),
        ("test_unseen", "été/0.mp4", "part test_unseen: class 'été' is trained on in stage 2"),
        ("test_unseen", "noël/0.mp4", "part test_unseen: class 'noël' is trained on in stage 2"),
    ],
)
def test_parts_that_break_the_protocol_are_named(tmp_path: Path, part: str, clip: str, named: str):
    rows = "".join(f"{name},{where}\n" for where, name in [*ONE_EACH.items(), (part, clip)])
    (tmp_path / "s.csv").write_text(f"clip,part\n{rows}", encoding="utf-8")
    with pytest.raises(UserError, match=rf"s\.csv: readable clips of {named}, expected"):
        read_parts(tmp_path / "s.csv", [*ONE_EACH.values(), clip])
    # What cannot be read takes no part: without it these are good.
    found = read_parts(tmp_path / "s.csv", list(ONE_EACH.values()), [*ONE_EACH.values(), clip])
    assert found == {where: [name] for where, name in ONE_EACH.items()}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_other_systems_are_the_same_clips(tmp_path: Path, separator: str, form):
    """macOS decomposes letters, Windows writes backslashes, and Excel semicolons."""
    rows = [("clip", "part"), *((clip.replace("/", "\\"), part) for part, clip in ONE_EACH.items())]
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "s.csv").write_bytes(unicodedata.normalize(form, text).encode("utf-8-sig"))
    other_form = "NFC" if form == "NFD" else "NFD"
    other = {part: unicodedata.normalize(other_form, clip) for part, clip in ONE_EACH.items()}
    assert read_parts(tmp_path / "s.csv", list(other.values())) == {
        part: [clip] for part, clip in other.items()
    }


def test_a_row_of_a_clip_that_could_not_be_read_is_no_error(tmp_path: Path):
    rows = "".join(f"{clip},{part}\n" for part, clip in ONE_EACH.items())
    (tmp_path / "s.csv").write_text(f"clip,part\n{rows}bad.mp4,val_seen\n", encoding="utf-8")
    clips = list(ONE_EACH.values())
    found = read_parts(tmp_path / "s.csv", clips, [*clips, "bad.mp4"])
    assert found == {part: [clip] for part, clip in ONE_EACH.items()}


def test_clips_that_one_name_could_mean_are_refused(tmp_path: Path):
    (tmp_path / "s.csv").write_text("clip,part\n")
    twice = [unicodedata.normalize(form, "a/é.mp4") for form in ("NFC", "NFD")]
    with pytest.raises(UserError, match="the same name in Unicode's NFC form"):
        read_parts(tmp_path / "s.csv", twice)
