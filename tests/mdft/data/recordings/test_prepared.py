"""Datasets of Tonic and folders become training and test recordings, or one line of error."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tonic

from events import EVENTS
from events.files.io import write_events
from events.files.metadata import Metadata
from mdft.config.recordings import RecordingsConfig
from mdft.data.recordings.prepared import prepare
from mdft.data.tonic_datasets import VideoEvents
from mdft.errors import UserError
from tests.events.films import write_film
from tests.mdft.recognition.small import bin_bytes, recording, write_nmnist


@pytest.fixture
def nmnist(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    return write_nmnist(tmp_path / "data")


def config(root: Path, **given) -> RecordingsConfig:
    return RecordingsConfig(root=root, **given)


def test_a_dataset_of_tonic(nmnist: Path):
    found = prepare("NMNIST", config(nmnist))
    assert (len(found.train), len(found.test), found.classes) == (16, 8, ("0", "1"))
    assert found.train.counts_NSX.shape == (16, 10, 2, 34, 34) and found.left_out == ()
    # Tonic reads the same events, in the same order.
    dataset = type("NMNIST", (tonic.datasets.NMNIST,), {"_check_exists": lambda _: True})(
        str(nmnist), train=False
    )
    for i in range(len(dataset)):
        events, target = dataset[i]
        assert found.test.counts_NSX[i].sum() == len(events)
        assert found.test.labels_N[i] == target
        assert found.test.names[i] == dataset.data[i]


def test_the_cache_is_used_until_something_changes(nmnist: Path, monkeypatch):
    first = prepare("NMNIST", config(nmnist))
    read = []
    monkeypatch.setattr("mdft.data.recordings.prepared._write", lambda *_: read.append(1) or 1 / 0)
    again = prepare("NMNIST", config(nmnist))
    np.testing.assert_array_equal(first.train.counts_NSX, again.train.counts_NSX)
    assert isinstance(again.train.counts_NSX.base, np.memmap) and not read
    with pytest.raises(ZeroDivisionError):
        prepare("NMNIST", config(nmnist, bins=3))
    (nmnist / "NMNIST" / "Train" / "0" / "00000.bin").write_bytes(recording(0, 99))
    with pytest.raises(ZeroDivisionError):
        prepare("NMNIST", config(nmnist))


def test_a_broken_recording_is_named_and_left_out(nmnist: Path):
    folder = nmnist / "NMNIST" / "Train" / "0"
    (folder / "00001.bin").write_bytes(recording(0, 1)[:-3])
    (folder / "00002.bin").write_bytes(b"")
    outside = bin_bytes(*(np.array([n]) for n in (40, 1, 5, 1)))
    (folder / "00003.bin").write_bytes(outside)
    found = prepare("NMNIST", config(nmnist))
    assert len(found.train) == 13 and len(found.left_out) == 3
    for name, text in zip(("1", "2", "3"), ("", "no events", "x runs from 40"), strict=True):
        (line,) = (x for x in found.left_out if f"0000{name}.bin" in x)
        assert text in line and "\n" not in line


def test_nothing_is_downloaded_unless_asked(tmp_path: Path, monkeypatch):
    asked = []
    monkeypatch.setattr(tonic.datasets.NMNIST, "download", lambda _: asked.append(1))
    with pytest.raises(UserError, match=r"NMNIST: no files there.*--data.download"):
        prepare("NMNIST", config(tmp_path))
    assert not asked
    with pytest.raises(UserError, match="no recordings of NMNIST"):
        prepare("NMNIST", config(tmp_path, download=True))
    assert asked


@pytest.mark.parametrize("name", ["DVSGesture", "SSC", "ASLDVS", "POKERDVS", "NCALTECH101"])
def test_the_other_datasets_are_asked_for(name: str, tmp_path: Path):
    with pytest.raises(UserError, match=rf"{name}: no files there, expected Tonic's {name}"):
        prepare(name, config(tmp_path))


def test_sounds_without_rows_and_polarities(tmp_path: Path, monkeypatch):
    """SHD: times in seconds, 700 channels, one file a split."""
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "SHD"
    folder.mkdir()
    for number, part in enumerate(("train", "test")):
        with h5py.File(folder / f"shd_{part}.h5", "w") as file:
            kinds = h5py.vlen_dtype(np.float32), h5py.vlen_dtype(np.uint16)
            times = file.create_dataset("spikes/times", (4,), kinds[0])
            units = file.create_dataset("spikes/units", (4,), kinds[1])
            for i in range(4):
                times[i] = np.array([0.01, 0.05, 0.2])
                units[i] = np.array([i, 10 * number + i, 699])
            file["labels"] = np.array([0, 1, 0, 1], np.uint16)
            file["extra/keys"] = np.array([b"zero", b"one"])
            file["extra/speaker"] = np.zeros(4, int)
    found = prepare("SHD", config(tmp_path, transform=("pool=7",)))
    assert found.train.counts_NSX.shape == (4, 10, 1, 1, 100)
    assert found.train.counts_NSX[1, :, 0, 0].sum(0).nonzero()[0].tolist() == [0, 99]
    assert found.train.labels_N.tolist() == [0, 1, 0, 1] and found.classes == ("0", "1")


def events_file(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    events = np.zeros(50, EVENTS)
    events["x"], events["y"] = (random.integers(0, n, 50) for n in size)
    events["t"] = np.sort(random.integers(0, 200_000, 50)) + 1_000_000
    metadata = Metadata((*size, 2), path.name, start_us=1_000_000, duration_us=200_001)
    write_events(path, events, metadata)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for label in ("left", "right"):
        for i in range(5):
            events_file(root / label / f"{i}.h5", seed=10 * len(label) + i)
    return root


def test_a_folder_is_divided_by_its_classes(folder: Path):
    found = prepare("folder", config(folder, test_share=0.4))
    assert (len(found.train), len(found.test), found.classes) == (6, 4, ("left", "right"))
    assert np.bincount(found.train.labels_N).tolist() == [3, 3]
    assert not {*found.train.names} & {*found.test.names}
    again = prepare("folder", config(folder, test_share=0.4, split_seed=1))
    assert again.test.names != found.test.names
    (folder / "notes.md").write_text("no recording")
    (folder / "left" / "list.csv").write_text("1,2,3,4\n")
    (folder / "none yet").mkdir()
    assert prepare("folder", config(folder)).notes == (
        "note: 2 files passed over: 1 .csv, 1 .md",
        "note: no recording, without a header that names t, x, y and p: 'left/list.csv'",
        "note: nothing was found in 'none yet'",
    )
    shutil.rmtree(folder / "right")
    (folder / "left").rename(folder / "none")
    for path in (folder / "none").glob("*.h5"):
        path.unlink()
    with pytest.raises(UserError, match=r"data: no recordings, .*reads; .*names t, x, y and p"):
        prepare("folder", config(folder))


def test_the_cache_depends_on_the_folder_and_on_files_behind_links(folder: Path):
    linked = [folder.with_name(name) for name in ("first", "second")]
    for root in linked:
        shutil.copytree(folder, root.with_name(f"{root.name} files"))
        root.mkdir()
        for label in ("left", "right"):
            (root / label).symlink_to(root.with_name(f"{root.name} files") / label)
    events_file(linked[1] / "left" / "0.h5", seed=99)
    for root in linked:
        found = prepare("folder", config(root))
        names = {*found.train.names, *found.test.names}
        assert names == {str(path) for path in root.glob("*/*.h5")}
    before = prepare("folder", config(linked[0]))
    events_file(Path(before.train.names[0]), seed=98)
    after = prepare("folder", config(linked[0]))
    assert not np.array_equal(after.train.counts_NSX[0], before.train.counts_NSX[0])


def test_a_folder_with_its_own_split(folder: Path):
    for part in ("Train", "Test"):
        (folder / part).mkdir()
    for label in ("left", "right"):
        shutil.copytree(folder / label, folder / "Train" / label)
        shutil.rmtree(folder / label)
        events_file(folder / "Test" / label / "0.h5", seed=len(label))
    (folder / "Train" / "up").mkdir()
    found = prepare("folder", config(folder))
    assert found.notes == ("note: nothing was found in 'Train/up'",)
    assert (len(found.train), len(found.test)) == (10, 2)


def test_a_third_part_beside_train_and_test_is_refused(folder: Path):
    for part in ("Train", "test", "Val"):
        shutil.copytree(folder / "left", folder / part / "left")
    for label in ("left", "right"):
        shutil.rmtree(folder / label)
    with pytest.raises(UserError, match=r"data: Train and test beside 'Val', expected only Train"):
        prepare("folder", config(folder))
    shutil.move(folder / "Val", folder.with_name("Val"))
    events_file(folder / "lost.h5", seed=99)
    with pytest.raises(UserError, match=r"lost.h5: it has no label"):
        prepare("folder", config(folder))


def test_a_class_named_test_is_a_class(folder: Path):
    shutil.move(folder / "right", folder / "test")
    assert prepare("folder", config(folder)).classes == ("left", "test")


def test_the_same_recording_in_both_splits(nmnist: Path):
    train, test = (nmnist / "NMNIST" / part / "0" for part in ("Train", "Test"))
    shutil.copy(train / "00003.bin", test / "00000.bin")
    with pytest.raises(UserError, match=r"Test/0/00000.bin and .*Train/0/00003.bin hold the same"):
        prepare("NMNIST", config(nmnist))
    assert not list(Path(nmnist).rglob("*.safetensors"))


def test_several_sensor_sizes(folder: Path):
    events_file(folder / "right" / "9.h5", seed=99, size=(12, 6))
    with pytest.raises(UserError, match=r"9.h5: its sensor has 12 x 6 pixels, .* has 8 x 6"):
        prepare("folder", config(folder))


def test_a_recording_without_a_label(folder: Path):
    events_file(folder / "lost.h5", seed=99)
    with pytest.raises(UserError, match=r"lost.h5: it has no label"):
        prepare("folder", config(folder))


def test_unsorted_times(nmnist: Path):
    columns = (np.array([1, 2]), np.array([1, 2]), np.array([900, 100]), np.array([1, 1]))
    (nmnist / "NMNIST" / "Train" / "1" / "00000.bin").write_bytes(bin_bytes(*columns))
    with pytest.raises(UserError, match=r"1/00000.bin: times are not sorted, event 1 at 100 µs"):
        prepare("NMNIST", config(nmnist))
    assert len(prepare("NMNIST", config(nmnist, transform=("sort",))).train) == 16


def test_unsorted_times_in_a_folder(folder: Path):
    text = "t_us x y p\n" + "".join(f"{t} {t % 8} 3 1\n" for t in (900, 100, 500))
    path = folder / "left" / "0.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=r"left/0.txt: times are not sorted, event 1 at 100 µs"):
        prepare("folder", config(folder, sensor=(8, 6)))
    found = prepare("folder", config(folder, sensor=(8, 6), transform=("sort",)))
    assert found.left_out == () and len(found.train) + len(found.test) == 11
    part = found.train if str(path) in found.train.names else found.test
    bins = part.counts_NSX[part.names.index(str(path))]
    assert bins[0, 1, 3].tolist() == [0, 0, 0, 0, 3, 0, 0, 0] and bins.sum() == 3


@pytest.mark.parametrize("sensor", [None, (8, 6)])
def test_the_first_recording_may_be_broken(folder: Path, sensor):
    (folder / "left" / "0.h5").write_bytes(b"no events")
    found = prepare("folder", config(folder, sensor=sensor))
    (line,) = found.left_out
    assert "left/0.h5: " in line and found.shape == (2, 6, 8)
    for path in folder.rglob("*.h5"):
        path.write_bytes(b"no events")
    if sensor is None:
        with pytest.raises(UserError, match=r"data: none of its 10 recordings can be read; the fi"):
            prepare("folder", config(folder))


def test_no_events_at_all(nmnist: Path):
    for path in (nmnist / "NMNIST" / "Test").rglob("*.bin"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no usable test recordings of NMNIST, 8 left out; the fi"):
        prepare("NMNIST", config(nmnist))


def test_one_class_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    root = write_nmnist(tmp_path / "data", classes=1)
    with pytest.raises(UserError, match="all training recordings have the label '0'"):
        prepare("NMNIST", config(root))


def test_a_test_class_that_is_never_trained(nmnist: Path):
    shutil.rmtree(nmnist / "NMNIST" / "Train" / "1")
    shutil.copytree(nmnist / "NMNIST" / "Train" / "0", nmnist / "NMNIST" / "Train" / "2")
    with pytest.raises(UserError, match="no training recording has its label '1'"):
        prepare("NMNIST", config(nmnist))


def test_videos_go_through_the_event_generator(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MDFT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for number, label in enumerate(("a", "b")):
        (root / label).mkdir(parents=True)
        for i in range(2):
            write_film(root / label / f"{i}.mkv", 8 + 2 * number + i, 10, None, 8000)
    found = prepare("folder", config(root, bins=12, bin_ms=100))
    assert found.shape == (2, 48, 64) and (len(found.train), len(found.test)) == (2, 2)
    for part in (found.train, found.test):
        for i, name in enumerate(part.names):
            dataset = VideoEvents(root, size=(64, 48))
            events = dataset.events(dataset.data.index(Path(name)))
            assert part.counts_NSX[i].sum() == len(events) > 100
    small = prepare("folder", config(root, bins=12, bin_ms=100, sensor=(32, 24)))
    assert small.shape == (2, 24, 32) and small.train.counts_NSX.any()


def test_recordings_that_do_not_declare_the_sensor(nmnist: Path):
    root = nmnist / "NMNIST" / "Train"
    with pytest.raises(UserError, match=r"its sensor has 34 x 34 .* --data.sensor"):
        prepare("folder", config(root))
    found = prepare("folder", config(root, sensor=(34, 34)))
    assert found.shape == (2, 34, 34) and len(found.train) + len(found.test) == 16
