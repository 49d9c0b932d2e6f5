"""Lists of events as text, compressed files, and files whose ending does not say what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import events
from events.convert import main
from events.files import columns
from events.files.io import is_event_file, read_events, write_events
from events.files.metadata import Metadata

V2E = """#!events.txt
# This is a text DVS created by v2e (see https://github.com/SensorsINI/v2e)
# Format is time (float s), x, y, polarity (0=off, 1=on) as specified at http://rpg.ifi.uzh.ch/
# Creation time: 02:58AM November 29 2026
# Creation time: System.currentTimeMillis() 1796000000000
# User name: me
"""
FOUND = [(33, 39, 0, True), (158, 145, 11, False), (7, 8, 2_500_000, True)]


def refused(path: Path, says: str) -> None:
    with pytest.raises(events.UserError, match=says) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        V2E + "0.0 33 39 1\n1.1000000000000001e-05 158 145 0\n2.5 7 8 1\n",
        "x,y,p,t\n33,39,1,0\n158,145,0,11\n7,8,1,2500000\n",
        "# t x y p\n0 33 39 1\n11 158 145 -1\n2500000 7 8 1\n",
        "% timestamp[s] x y polarity\r\n0 33 39 1\r\n0.000011 158 145 0\r\n2.5 7 8 1\r\n",
        "\ufefftimestamp_ns; x; y; p\n0;33;39;1\n11000;158;145;0\n2500000000;7;8;1",
        "t_ms\tx\ty\tpol\n0\t33\t39\t1\n0.011\t158\t145\t0\n2500\t7\t8\t1\n",
        "time, x, y, p\n0.000000000, 33, 39, 1\n0.000011000, 158, 145, 0\n\n2.5, 7, 8, 1\n# end\n",
        "t_us x y p\n0.0e0 3.3e1 3.9e1 1.0e0\n1.1e1 1.58e2 1.45e2 0.0\n2.5e6 7.0 8.0 1.0\n",
    ],
)
@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_lists_of_events(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(text.encode())
    again, metadata = read_events(path)
    assert again.tolist() == FOUND and is_event_file(path)
    assert metadata.sensor_size == (159, 146, 2)


def test_times_since_1970_keep_their_microseconds(tmp_path: Path) -> None:
    path, first = tmp_path / "a.csv", 1_796_000_000_123_457
    path.write_text(f"timestamp,x,y,polarity\n{first},1,2,1\n{first + 1},1,2,0\n")
    assert read_events(path)[0]["t"].tolist() == [first, first + 1]


@pytest.mark.parametrize(
    "text,says",
    [
        ("", "not a list of events .it has no events.; expected a first line that names"),
        ("hello, world\n", "not a list of events .line 1 is 'hello, world'.; expected a first"),
        ("0.0 33 39 1\n", "no header before line 1: '0.0 33 39 1'.; expected a first line"),
        ("240 180\n0.0 33 39 1\n", "no header before line 1: '240 180'"),
        ("t,x,y\n1,2,3\n", "line 1 is 't,x,y'"),
        ("t x y p\n", "it has no events|no events in it"),
        ("t x y p\n# nothing\n", "no events in it|it has no events"),
        ("t x y p\n1 2 3\n", "3 columns, expected the 4"),
        ("t x y p\n1 2 3 1\n2 3 1\n", "number of columns changed from 4 to 3"),
        ("t x y p\n1 2 3 1\n2 a 3 1\n", "not a list of events .*could not convert"),
        ("t x y p\n1 2 3 7\n", "polarities run from 7 to 7"),
        ("t x y p\n1 2 3 1\n2 2 3 0\n3 2 3 -1\n", "polarities run from -1 to 1"),
        ("t x y p\n1.0 2.0 3.0 1.0\n", "all its numbers have a decimal point, .*: t_us x y p"),
        ("t_s x y p\n1.5 2.5 3 1\n", "x has values that are no integers"),
        ("t_s x y p\ninf 2 3 1\n", "times from inf to inf, expected finite"),
        ("t_s x y p\n1e300 2 3 1\n", "expected finite times"),
        ("t x y p\n9 2 3 1\n5 2 3 1\n", "times go backwards"),
        ("t x y p\n1 -2 3 1\n", "x runs from -2 to -2"),
        ("\0\1\2", "not a list of events"),
    ],
)
def test_other_text_is_refused_by_its_cause(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    refused(path, says)


def test_only_text_with_a_header_counts_as_events_in_a_folder(tmp_path: Path) -> None:
    for name, text in {"README.txt": "Clips.\n", "labels.csv": "clip,label\na,b\n"}.items():
        (tmp_path / name).write_text(text)
        assert not is_event_file(tmp_path / name)
    assert is_event_file(Path("x.bin.gz")) and is_event_file(Path("x.AEDAT"))
    assert not is_event_file(Path("x.mp4")) and not is_event_file(Path("x.mp4.gz"))


NMNIST = bytes((3, 5, 0x80, 0, 7, 4, 6, 0, 0, 9))


@pytest.mark.parametrize("pack,ending", [(gzip, "gz"), (bz2, "bz2"), (lzma, "xz")])
def test_a_compressed_file_is_the_file(tmp_path: Path, pack, ending: str) -> None:
    path = tmp_path / f"a.bin.{ending}"
    path.write_bytes(pack.compress(NMNIST))
    found, metadata = read_events(path)
    assert found.tolist() == [(3, 5, 7, True), (4, 6, 9, False)] and metadata.source == path.name
    write_events(tmp_path / "b.h5", found, Metadata((34, 34, 2), "b"))
    packed = tmp_path / f"b.h5.{ending}"
    packed.write_bytes(pack.compress((tmp_path / "b.h5").read_bytes()))
    again, kept = read_events(packed)
    assert np.array_equal(again, found) and kept == Metadata((34, 34, 2), "b")
    assert main([str(packed), str(tmp_path / "c.npz")]) == 0
    # An error inside names the compressed file.
    path.write_bytes(pack.compress(NMNIST[:-1]))
    refused(path, r"a\.bin\.\w+: 9 bytes, expected 5 bytes per event")
    path.write_bytes(pack.compress(NMNIST * 1000)[:-9])
    refused(path, "cut short: its .* data have no end|cannot be unpacked")
    path.write_bytes(b"no such thing")
    refused(path, "cannot be unpacked|cut short")


def test_what_expands_too_far_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_SLACK", 1 << 16)
    (tmp_path / "a.bin.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    refused(tmp_path / "a.bin.gz", "would expand to .* expected at most 100 times")
    np.savez_compressed(tmp_path / "a.npz", events=np.zeros(10_000_000, "u1"), metadata="{}")
    refused(tmp_path / "a.npz", "would expand to .* expected at most 100 times")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["metadata"] = Metadata((34, 34, 2), "b").to_json()
        file.create_dataset("events", (1 << 24,), events.EVENTS, chunks=(1 << 10,))
    refused(tmp_path / "a.h5", "would expand to 218,103,808 or more")


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.bin", NMNIST)
    return data.getvalue()


def tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.bin"))
    return data.getvalue()


def npy() -> bytes:
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    return data.getvalue()


@pytest.mark.parametrize(
    "ending,data,says",
    [
        ("h5", gzip.compress(NMNIST), "a file compressed with gzip, .*; unpack it first"),
        ("aedat", b"\x28\xb5\x2f\xfd" + bytes(50), "compressed with zstd, .*; unpack it first"),
        ("npz", bz2.compress(NMNIST), "compressed with bzip2"),
        ("dat", lzma.compress(NMNIST), "compressed with xz"),
        ("bin", archive(), "a zip archive, expected what its ending .bin says; unpack it first"),
        ("bin", tar(), "a tar archive"),
        ("h5", npy(), "a NumPy array, .*convert it to .h5, .npz or .csv"),
        ("raw", b"#ROSBAG V2.0\n", "a ROS bag"),
        ("raw", b"Event Stream" + bytes(9), "an Event Stream recording"),
        ("raw", b"% Version 2\n\x0c\x08", "a Prophesee DAT recording, .*its name ends in .dat"),
        ("dat", b"% evt 3.0\n", "a Prophesee EVT recording, .*its name ends in .raw"),
        ("bin", b"#!AER-DAT2.0\r\n", "an AEDAT recording, .*its name ends in .aedat"),
    ],
)
def test_a_wrong_ending_is_named(tmp_path: Path, ending: str, data: bytes, says: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(data)
    refused(path, says)


@pytest.mark.parametrize(
    "name,data,says",
    [
        ("clip.mp4.gz", gzip.compress(bytes(99)), "a file compressed with gzip, expected a video"),
        ("recording", b"#!AER-DAT2.0\r\n" + bytes(99), "an AEDAT recording, expected a video"),
        ("a.zip", archive(), "a zip archive, expected a video; unpack it first"),
        ("a.nir", b"\x89HDF\r\n\x1a\n" + struct.pack("<60x"), "an HDF5 file, expected a video"),
    ],
)
def test_what_is_no_video_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert main([str(path), str(tmp_path / "out.h5")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out.h5").exists()
