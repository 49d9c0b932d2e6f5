"""Event files of other tools: built here as their tools write them, and read to the event."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import tonic.io

import events
from events.convert import main
from events.files import hdf5_layouts
from events.files.io import read_events
from events.records import EVENTS


def some_events(n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(n)
    found = np.empty(n, dtype=EVENTS)
    found["x"], found["y"] = rng.integers(0, 128, n), rng.integers(0, 100, n)
    found["t"], found["p"] = np.sort(rng.integers(0, 4_000_000, n)), rng.random(n) < 0.5
    return found


def refused(path: Path, says: str) -> None:
    with pytest.raises(events.UserError, match=says) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def v2e(path: Path, found: np.ndarray, dtype: str = "<u4", **options: Any) -> None:
    with h5py.File(path, "w") as file:
        table = np.stack([found[name].astype(np.int64) for name in "txyp"], axis=1)
        file.create_dataset("events", data=table.astype(dtype), **options)


def dsec(path: Path, found: np.ndarray, offset: Any = 41_000_000_000, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, dtype in (("x", "<u2"), ("y", "<u2"), ("t", "<u4"), ("p", "u1")):
            file.create_dataset(f"events/{name}", data=found[name].astype(dtype), **options)
        file["ms_to_idx"] = np.searchsorted(found["t"], np.arange(0, 4_000_000, 1000))
        if offset is not None:
            file["t_offset"] = offset


def metavision(path: Path, found: np.ndarray, **options: Any) -> None:
    record = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    with h5py.File(path, "w") as file:
        data = np.empty(len(found), record)
        for name in record.names or ():
            data[name] = found[name]
        file.create_dataset("CD/events", data=data, **options)
        file.attrs["geometry"] = "1280x720"


def test_v2e_hdf5_of_the_tool(shared_data: Path) -> None:
    path = shared_data / "bugs" / "v2e_events.h5"
    with h5py.File(path) as file:
        table: Any = file["events"]
        t, x, y, p = table[:].T
    found, metadata = read_events(path)
    assert metadata.sensor_size == (x.max() + 1, y.max() + 1, 2) and len(found) == 500
    assert all(np.array_equal(found[n], v) for n, v in zip("txyp", (t, x, y, p), strict=True))


def test_v2e_hdf5(tmp_path: Path) -> None:
    found, path = some_events(), tmp_path / "a.h5"
    v2e(path, found, compression="gzip")
    again, metadata = read_events(path)
    assert np.array_equal(again, found) and again.dtype == EVENTS
    assert (metadata.start_us, metadata.sensor, metadata.source) == (found["t"][0], None, "a.h5")
    assert read_events(path, (640, 480))[1].sensor_size == (640, 480, 2)
    assert main([str(path), str(tmp_path / "b.npz")]) == 0
    assert np.array_equal(read_events(tmp_path / "b.npz")[0], found)


FILTERS = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "blosc": hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE),
    "zstd": hdf5plugin.Zstd(),
    "lz4": hdf5plugin.LZ4(),
}


@pytest.mark.parametrize("name", FILTERS)
def test_dsec_and_metavision_with_the_filters_of_hdf5plugin(tmp_path: Path, name: str) -> None:
    found, options = some_events(5000), dict(FILTERS[name])
    dsec(tmp_path / "a.h5", found, **options)
    again, metadata = read_events(tmp_path / "a.h5")
    later = found.copy()
    later["t"] += 41_000_000_000
    assert np.array_equal(again, later) and metadata.start_us == later["t"][0]
    dsec(tmp_path / "a.h5", found, offset=None, **options)
    assert np.array_equal(read_events(tmp_path / "a.h5")[0], found)
    metavision(tmp_path / "b.hdf5", found, **options)
    again, metadata = read_events(tmp_path / "b.hdf5")
    assert np.array_equal(again, found) and metadata.sensor_size == (1280, 720, 2)


@pytest.mark.parametrize(
    "attributes",
    [
        {"geometry": np.bytes_("1280x720")},
        {"geometry": np.array([b"1280x720"])},
        {"width": 1280.0, "height": 720.0},
        {"width": np.int32(1280), "height": np.bytes_("720")},
    ],
)
@pytest.mark.parametrize("on_the_data_set", [False, True])
def test_the_size_of_metavision_in_any_form(
    tmp_path: Path, attributes: dict[str, Any], on_the_data_set: bool
) -> None:
    metavision(tmp_path / "a.h5", some_events())
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file.attrs["geometry"]
        (file["CD/events"] if on_the_data_set else file).attrs.update(attributes)
    assert hdf5_layouts.read_layout(tmp_path / "a.h5")[1] == (1280, 720)


@pytest.mark.parametrize(
    "attributes,says",
    [
        ({"geometry": "1280 by 720"}, "a sensor of '1280 by 720', expected geometry as 1280x720"),
        ({"width": 1280.5, "height": 720}, "a sensor of '1280.5x720', expected"),
        ({"width": 1280}, r"a sensor of '1280x\?', expected"),
        ({"width": 0, "height": 0}, "a sensor of '0x0', expected"),
    ],
)
def test_a_size_that_cannot_be_read_is_refused(
    tmp_path: Path, attributes: dict[str, Any], says: str
) -> None:
    metavision(tmp_path / "a.h5", some_events())
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file.attrs["geometry"]
        file.attrs.update(attributes)
    refused(tmp_path / "a.h5", says)


def test_records_of_tonic_without_our_metadata(tmp_path: Path) -> None:
    found = some_events()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = found
    assert np.array_equal(read_events(tmp_path / "a.h5")[0], found)


def test_ecf_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    metavision(path, some_events(100), chunks=(100,), compression=1)
    data = path.read_bytes()
    # The filter's message: number, length of its name, flags, number of values, name.
    gzip = struct.pack("<HHHH8s", 1, 8, 1, 1, b"deflate")
    assert data.count(gzip) == 1
    path.write_bytes(data.replace(gzip, struct.pack("<HHHH8s", 0x8ECF, 8, 1, 1, b"ecf")))
    refused(path, "compressed with Prophesee's ECF codec, .* HDF5_PLUGIN_PATH")
    path.write_bytes(data.replace(gzip, struct.pack("<HHHH8s", 999, 8, 1, 1, b"mine")))
    refused(path, r"the HDF5 filter 999 \(mine\), which is not installed; .*h5repack")


def link_out(path: Path) -> None:
    dsec(path.with_name("other.h5"), some_events())
    with h5py.File(path, "w") as file:
        file["events"] = h5py.ExternalLink("other.h5", "/events")


def unequal(path: Path) -> None:
    dsec(path, some_events())
    with h5py.File(path, "a") as file:
        del file["events/p"]
        file["events/p"] = np.zeros(7, "u1")


def bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("events", (1 << 40, 4), "<u4", chunks=(1 << 10, 4))


def table(name: str, data: Any) -> Any:
    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file[name] = data

    return make


@pytest.mark.parametrize(
    "make,says",
    [
        (table("rectify_map", np.zeros((4, 4, 2))), "an HDF5 file with rectify_map; expected 'ev"),
        (table("events", np.zeros((4, 4))), r"'events' is float64 \(4, 4\); expected 'events' of"),
        (table("events", np.array([[5, 1, 1, 7]])), "polarities run from 7 to 7, expected 1 for"),
        (table("events", np.array([[5, 1, 1, 0], [4, 1, 1, 1]])), "times go backwards"),
        (table("events", np.array([[5, 40_000, 1, 0]])), "x runs from 40000 to 40000, expected 0"),
        (table("events", np.zeros((0, 4), "u4")), "no events in it"),
        (lambda path: dsec(path, some_events(), 0.5), "t_offset is float64"),
        (unequal, "300 of t and 7 of p, expected the same number"),
        (link_out, "no dataset 'events' stored in the file itself"),
        (bomb, r"bytes would expand to 17,592,186,044,416 or more, expected at most 100 times"),
    ],
)
def test_other_hdf5_is_refused_by_its_content(tmp_path: Path, make: Any, says: str) -> None:
    path = tmp_path / "a.h5"
    make(path)
    refused(path, says)


def test_hdf5_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    v2e(path, some_events())
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "not a readable HDF5 file .*truncated file")


def aedat2(chip: str, rows: list[tuple[int, int]], more: bytes = b"") -> bytes:
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    header += f"# AEChip: {chip}\r\n".encode() if chip else b""
    return header + more + b"".join(struct.pack(">II", *row) for row in rows)


DVS128 = "ch.unizh.ini.jaer.chip.retina.DVS128"
DAVIS240 = "eu.seebetter.ini.chips.davis.DAVIS240C"


@pytest.mark.parametrize("chip", [DVS128, ""])
def test_aedat2_of_a_dvs128_against_tonic(tmp_path: Path, chip: str) -> None:
    found, path = some_events(), tmp_path / "a.aedat"
    # (0, 0) is at the bottom right; a polarity bit of 0 is ON.
    rows = [
        ((127 - int(x)) << 1 | (127 - int(y)) << 8 | int(not p), int(t)) for x, y, t, p in found
    ]
    path.write_bytes(aedat2(chip, rows))
    again, metadata = read_events(path)
    assert np.array_equal(again, found) and metadata.sensor_size == (128, 128, 2)
    begin = path.read_bytes().rindex(b"\r\n") + 2
    theirs = tonic.io.get_aer_events_from_file(path, 2.0, begin)
    assert np.array_equal(theirs["timeStamp"], again["t"]) and len(theirs) == len(again)


def test_aedat2_of_a_davis(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    frame, external = 1 << 31 | 5 << 12, 1 << 10
    first = (239 - 3) << 12 | (179 - 5) << 22 | 1 << 11
    # The first address begins with the byte of '#'; the clock wraps before the last.
    hash_sign = 0x23 << 24 | 7 << 12
    rows = [
        (hash_sign, 2**32 - 9),
        (frame, 2**32 - 7),
        (first, 2**32 - 5),
        (external, 1),
        (first, 2),
    ]
    path.write_bytes(aedat2(DAVIS240, rows, b"#End Of ASCII Header\r\n"))
    found, metadata = read_events(path)
    y = 179 - (0x23 << 24 >> 22)
    expected = [(232, y, 2**32 - 9, False), (3, 5, 2**32 - 5, True), (3, 5, 2**32 + 2, True)]
    assert found.tolist() == expected and metadata.sensor_size == (240, 180, 2)


def test_aedat2_as_v2e_writes_it(tmp_path: Path) -> None:
    found, path = some_events(), tmp_path / "a.aedat"
    x, y = 345 - found["x"].astype(np.int64) * 2, 259 - found["y"].astype(np.int64) * 2
    address = x << 12 | y << 22 | found["p"].astype(np.int64) << 11
    address = np.where(address >> 24 == 0x23, address | 1 << 25, address)  # v2e drops such firsts
    words = np.stack([address, found["t"]], axis=1).astype(">u4")
    header = "#!AER-DAT2.0\r\n# This is a raw AE data file created by AEDat2Output in v2e\r\n"
    path.write_bytes(header.encode() + words.tobytes())
    again, metadata = read_events(path)
    assert metadata.sensor_size == (346, 260, 2)
    assert np.array_equal(again["x"], found["x"] * 2) and np.array_equal(again["p"], found["p"])


def aedat3(packets: list[tuple[int, int, list[tuple[int, int]]]]) -> bytes:
    """Packets of (type, overflow of the clock, (data, µs) of each event)."""
    data = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    for kind, overflow, rows in packets:
        data += struct.pack("<hhiiiiii", kind, 1, 8, 4, overflow, *[len(rows)] * 3)
        data += b"".join(struct.pack("<II", *row) for row in rows)
    return data


def test_aedat31_of_the_tool(shared_data: Path) -> None:
    path = shared_data / "bugs" / "a3.aedat"
    found, metadata = read_events(path)
    theirs = tonic.io.get_aer_events_from_file(
        path, 3.1, path.read_bytes().index(b"HEADER\r\n") + 8
    )
    assert np.array_equal(found["t"], theirs["timeStamp"]) and len(found) == 500
    assert np.array_equal(found["x"], theirs["address"] >> 17)
    assert metadata.sensor_size == (128, 128, 2)


def test_aedat31_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    on = 5 << 17 | 6 << 2 | 1 << 1 | 1
    off = 7 << 17 | 8 << 2 | 1
    packets = [
        (1, 0, [(on, 2**31 - 1), (off & ~1, 2**31 - 1)]),
        (0, 0, [(1, 5)]),
        (1, 1, [(off, 4)]),
    ]
    path.write_bytes(aedat3(packets))
    expected = [(5, 6, 2**31 - 1, True), (7, 8, 2**31 + 4, False)]  # one is marked invalid
    assert read_events(path)[0].tolist() == expected
    path.write_bytes(aedat3(packets)[:-3])
    refused(path, r"cut short: its last 33 bytes are no whole packet; .*truncate -s \d+ FILE")


@pytest.mark.parametrize(
    "data,says",
    [
        (aedat2(DVS128, [(1, 5), (1, 6)])[:-3], "cut short: its last 5 bytes are no whole event"),
        (aedat2("CochleaAMS1c", [(1, 5)]), "AEDAT 2 of cochleaams1c, expected a line '# AEChip"),
        (aedat2("", [(1 << 20, 5)]), "a camera that its header does not name"),
        (aedat2(DAVIS240, [(300 << 12, 5)]), "events up to .300, 0., expected a sensor of at most"),
        (aedat2(DVS128, [(1, 9), (1, 5)]), "times go backwards"),
        (aedat2(DVS128, []), "no events in it"),
        (b"#!AER-DAT1.0\r\n", "AEDAT 1.0, expected 2.0, 3.1 or 4.0; convert it with"),
        (
            b"#!AER-DAT3.1\r\n#Format: CompressedFrame\r\n",
            "of format CompressedFrame, expected RAW",
        ),
        (aedat3([(2, 0, [(1, 5)])]), "no polarity events in it"),
        (b"hello", "not an AEDAT recording"),
    ],
)
def test_other_aedat_is_refused_by_its_cause(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a.aedat").write_bytes(data)
    refused(tmp_path / "a.aedat", says)


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_a_damaged_aedat4_ends_no_process_but_its_own(
    shared_data: Path, tmp_path: Path, damage: str
) -> None:
    data = bytearray((shared_data / "recordings" / "tonic_sample.aedat4").read_bytes())
    # Faery 0.7.1 aborts its process where a name in the XML header is no UTF-8.
    where = data.index(b"<node name=")
    data[where + 12] = 0xE6
    path = tmp_path / "a.aedat4"
    path.write_bytes(data if damage == "text" else data[: len(data) // 2])
    refused(path, r"a\.aedat4: (not an AEDAT 4|the process that reads it crashed)")


def test_stored_dataset_follows_no_link(tmp_path: Path) -> None:
    link_out(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert hdf5_layouts.stored_dataset(tmp_path / "a.h5", file, "events/x") is None
        with pytest.raises(events.UserError, match="stored in the file itself"):
            hdf5_layouts.stored_dataset(tmp_path / "a.h5", file, "events")
