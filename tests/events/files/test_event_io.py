"""Event files: what is written is what is read, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tonic.io import events_struct

import events
from events.files.io import WRITABLE, EventWriter, read_bins, read_events, write_events
from events.files.metadata import Metadata
from events.generator import EVENTS

SENSOR = events.Sensor(threshold=0.3, refractory_us=50, luma="srgb")
METADATA = Metadata((40, 30, 2), "clip.mp4", SENSOR, 25.0, 100, 0, 4_000_000)


def some_events(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    found = np.empty(n, dtype=EVENTS)
    found["x"], found["y"] = rng.integers(0, 40, n), rng.integers(0, 30, n)
    found["t"], found["p"] = np.sort(rng.integers(0, 4_000_000, n)), rng.random(n) < 0.5
    return found


@pytest.mark.parametrize("ending", ["h5", "hdf5", "npz"])
@pytest.mark.parametrize("n", [0, 1, 5, 65_536, 200_000])
def test_our_formats_keep_everything(tmp_path: Path, ending: str, n: int) -> None:
    found, path = some_events(n), tmp_path / f"a.{ending}"
    write_events(path, found, METADATA)
    again, metadata = read_events(path)
    assert np.array_equal(again, found) and again.dtype == EVENTS and metadata == METADATA
    real = replace(METADATA, sensor=None)
    write_events(path, found, real)
    assert read_events(path)[1] == real
    assert os.listdir(tmp_path) == [path.name]


def test_numpy_and_h5py_read_tonics_records_without_us(tmp_path: Path) -> None:
    found = some_events(300)
    write_events(tmp_path / "a.h5", found, METADATA)
    write_events(tmp_path / "a.npz", found, METADATA)
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["events"]
        assert isinstance(dataset, h5py.Dataset) and dataset.dtype == events_struct
        assert np.array_equal(dataset[:], found)
    with np.load(tmp_path / "a.npz") as archive:
        assert sorted(archive) == ["events", "metadata"]
        assert archive["events"].dtype == events_struct
        assert np.array_equal(archive["events"], found)
        assert json.loads(str(archive["metadata"]))["sensor"]["luma"] == "srgb"


@pytest.mark.parametrize("ending", ["aedat4", "raw", "dat"])
@pytest.mark.parametrize("n", [0, 1, 300_000])
def test_camera_formats_keep_events_and_sensor(tmp_path: Path, ending: str, n: int) -> None:
    # 40 s: EVT 3 would lose the silence before the only event, if longer than 16.8 s.
    found = some_events(n)
    found["t"] = found["t"] * 10
    write_events(tmp_path / f"a.{ending}", found, replace(METADATA, duration_us=40_000_000))
    again, metadata = read_events(tmp_path / f"a.{ending}")
    assert np.array_equal(again, found) and again.dtype == EVENTS
    assert metadata.sensor_size == (40, 30, 2) and metadata.sensor is None
    if n:
        first, last = int(found["t"][0]), int(found["t"][-1])
        assert (metadata.start_us, metadata.duration_us) == (first, last + 1 - first)


@pytest.mark.parametrize("ending", WRITABLE)
def test_appending_in_pieces_is_the_same(tmp_path: Path, ending: str) -> None:
    found = some_events(150_000)
    with EventWriter(tmp_path / f"a{ending}") as writer:
        for piece in np.array_split(found, [0, 7, 70_000, 70_001, 149_999]):
            writer.append(piece)
        writer.close(METADATA)
    assert np.array_equal(read_events(tmp_path / f"a{ending}")[0], found)


@pytest.mark.parametrize("ending", WRITABLE)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_events(path, some_events(5), METADATA)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), EventWriter(path) as writer:
        writer.append(some_events(100_000))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == before


def test_times_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    late = np.array([(0, 0, 2**32, True)], dtype=EVENTS)
    metadata = Metadata((40, 30, 2), "clip.mp4", start_us=2**32, duration_us=1)
    for ending in ("raw", "dat"):
        with pytest.raises(events.UserError, match="at most 4294967295; write"):
            write_events(tmp_path / f"a.{ending}", late, metadata)
    assert os.listdir(tmp_path) == []
    write_events(tmp_path / "a.aedat4", late, metadata)
    assert np.array_equal(read_events(tmp_path / "a.aedat4")[0], late)


def test_a_sensor_too_wide_for_a_format_is_refused(tmp_path: Path) -> None:
    wide = Metadata((2049, 10, 2), "clip.mp4")
    with pytest.raises(events.UserError, match="2049x10 pixels, expected sides of at most 2048"):
        write_events(tmp_path / "a.raw", some_events(0), wide)


def test_bins_of_a_far_time_stamp_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("t_us x y p\n7 1 1 1\n1000000000000000 1 1 1\n")
    with pytest.raises(events.UserError, match=r"a\.txt: it spans 7 to 1000000000000001 µs, exp"):
        read_bins(path)
    path.write_text(f"t_us x y p\n7 1 1 1\n{6 * 3600 * 10**6} 1 1 1\n")
    assert read_bins(path, bins_per_second=1, grid=1).shape == (6 * 3600, 1, 2)


def test_unknown_endings_are_named(tmp_path: Path) -> None:
    with pytest.raises(events.UserError, match=r"no writer for '\.bin', expected one of \.h5"):
        write_events(tmp_path / "a.bin", some_events(1), METADATA)
    (tmp_path / "a.doc").write_text("1,2,3,4")
    with pytest.raises(events.UserError, match=r"a\.doc: no reader for '\.doc'"):
        read_events(tmp_path / "a.doc")


def damage_metadata(name: str, value: Any) -> str:
    found = json.loads(METADATA.to_json())
    if value is None:
        del found[name]
    else:
        found[name] = value
    return json.dumps(found)


@pytest.mark.parametrize(
    "name,value,says",
    [
        ("format_version", 9, "format mdft-events version 9, expected mdft-events version 2"),
        ("fps", None, "missing or unknown: fps"),
        ("colour", "red", "missing or unknown: colour"),
        ("sensor_size", [40, 30], "sensor_size: found .*expected three integers"),
        ("sensor_size", [40, 30.5, 2], "sensor_size: found .*expected three integers"),
        ("sensor_size", [40, 0, 2], "expected .width, height, 2. with sides"),
        ("sensor_size", [4, 30, 2], "x runs from"),
        ("frames", "many", "frames: found 'many', expected int"),
        ("frames", True, "frames: found True, expected int"),
        ("duration_us", -1, "expected no negative number"),
        ("sensor", 7, "invalid metadata"),
        ("sensor", {"threshold": -1}, "invalid metadata"),
    ],
)
@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_broken_metadata_is_refused_by_name(
    tmp_path: Path, ending: str, name: str, value: Any, says: str
) -> None:
    path, text = tmp_path / f"a.{ending}", damage_metadata(name, value)
    if ending == "npz":
        np.savez(path, events=some_events(50), metadata=text)
    else:
        write_events(path, some_events(50), METADATA)
        with h5py.File(path, "a") as file:
            file.attrs["metadata"] = text
    with pytest.raises(events.UserError, match=says) as caught:
        read_events(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_broken_hdf5_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(events.UserError, match=r"a\.h5: cannot be opened \(No such file"):
        read_events(path)
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(events.UserError, match="pipe or device, expected an event file"):
        read_events(tmp_path / "pipe.h5")
    path.write_bytes(b"no HDF5 " * 100)
    with pytest.raises(events.UserError, match=r"a\.h5: not a readable HDF5 file"):
        read_events(path)
    cases: dict[str, Any] = {
        "not JSON": lambda f: f.attrs.__setitem__("metadata", "{"),
        "no dataset": lambda f: f.__delitem__("events"),
        "sorted by t": lambda f: f["events"].__setitem__(0, (0, 0, 10**9, True)),
        "y runs from -3": lambda f: f["events"].__setitem__(0, (0, -3, 0, True)),
    }
    for says, damage in cases.items():
        write_events(path, some_events(50), METADATA)
        with h5py.File(path, "a") as file:
            damage(file)
        with pytest.raises(events.UserError, match=says) as caught:
            read_events(path)
        assert "a.h5" in str(caught.value) and "\n" not in str(caught.value)


def test_broken_npz_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK no zip")
    with pytest.raises(events.UserError, match=r"a\.npz: not a readable npz"):
        read_events(path)
    np.savez(path, events=np.array([{}]), metadata=METADATA.to_json())  # a pickle
    with pytest.raises(events.UserError, match=r"a\.npz: not a readable npz"):
        read_events(path)
    np.savez(path, events=np.zeros((3, 4)), metadata=METADATA.to_json())
    with pytest.raises(events.UserError, match=r"a\.npz: events are float64 \(3, 4\)"):
        read_events(path)


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_a_damaged_file_is_refused_by_name_or_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write_events(path, some_events(50), METADATA)
    whole = path.read_bytes()
    refused = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        if seed % 4:
            data[rng.integers(0, len(data), 5)] = rng.integers(0, 256, 5)
        else:
            data = data[: rng.integers(1, len(data))]
        path.write_bytes(data.tobytes())
        try:
            read_events(path)
        except events.UserError as error:
            assert path.name in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 50


def test_an_external_link_is_not_followed(tmp_path: Path) -> None:
    write_events(tmp_path / "a.h5", some_events(50), METADATA)
    write_events(tmp_path / "b.h5", some_events(60), METADATA)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["events"]
        file["events"] = h5py.ExternalLink("b.h5", "/events")
    with pytest.raises(events.UserError, match="stored in the file itself"):
        read_events(tmp_path / "a.h5")
