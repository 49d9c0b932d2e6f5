"""Recordings of real cameras: read exactly, and through the same door into the motion branch."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import expelliarmus
import numpy as np
import pytest
import torch
from tonic.io import events_struct, read_mnist_file

import events
from events.convert import main
from events.files.io import read_bins, read_events
from events.generator import EVENTS
from mdft import MotionBranch

# File, events, sensor, what its header says or its events fill, first and last µs.
RECORDINGS = {
    "tonic_sample.aedat4": (111_954, (320, 240), 1_605_537_493_718_345, 1_605_537_494_308_262),
    "tonic_sample_nmnist.bin": (4_325, (34, 34), 654, 311_175),
    "tonic_sample_ncars.dat": (2_009, (78, 42), 0, 99_952),
    "expelliarmus_evt3.raw": (219_596, (1280, 720), 11_718_656, 11_727_457),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_read_whole(shared_data: Path, name: str) -> None:
    count, size, first, last = RECORDINGS[name]
    found, metadata = read_events(shared_data / "recordings" / name)
    assert found.dtype == EVENTS == events_struct and len(found) == count
    assert metadata.sensor_size == (*size, 2) and metadata.sensor is None
    assert (found["t"][0], found["t"][-1]) == (first, last)
    assert metadata.start_us == first and metadata.duration_us == last + 1 - first
    assert 0.1 < found["p"].mean() < 0.9


def test_dat_against_expelliarmus(shared_data: Path) -> None:
    path = shared_data / "recordings" / "tonic_sample_ncars.dat"
    found, _ = read_events(path)
    theirs = expelliarmus.Wizard(encoding="dat").read(path)
    for name in ("x", "y", "t"):
        assert np.array_equal(found[name], theirs[name])
    assert np.array_equal(found["p"], theirs["p"] > 0)


def test_nmnist_against_tonic(shared_data: Path) -> None:
    path = shared_data / "recordings" / "tonic_sample_nmnist.bin"
    theirs = read_mnist_file(str(path), dtype=events_struct)
    assert np.array_equal(read_events(path)[0], theirs)


def test_nmnist_by_hand(tmp_path: Path) -> None:
    # x, y, polarity in bit 23 and 23 bits of µs; y = 240 adds 2^13 µs to all that follow.
    words = [(3, 5, 0x800007), (0, 240, 0), (4, 6, 0x000009)]
    path = tmp_path / "a.bin"
    path.write_bytes(b"".join(bytes((x, y)) + word.to_bytes(3, "big") for x, y, word in words))
    found, metadata = read_events(path)
    assert found.tolist() == [(3, 5, 7, True), (4, 6, 8192 + 9, False)]
    assert metadata.sensor_size == (5, 7, 2)
    assert read_events(path, (34, 34))[1].sensor_size == (34, 34, 2)


def test_dat_by_hand_with_its_size_and_a_wrap(tmp_path: Path) -> None:
    header = b"% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 304\n"
    rows = [(2**32 - 5, 303, 239, 1), (3, 7, 2, 0)]  # 32 bits of µs wrap between the two
    body = b"".join(struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in rows)
    path = tmp_path / "a.dat"
    path.write_bytes(header + b"\x0c\x08" + body)
    found, metadata = read_events(path)
    assert metadata.sensor_size == (304, 240, 2) and metadata.duration_us == 9
    assert found.tolist() == [(303, 239, 2**32 - 5, True), (7, 2, 2**32 + 3, False)]


DAT_HEADER = b"% Data file containing CD events.\n% Version 2\n"


@pytest.mark.parametrize(
    "data,says",
    [
        (
            DAT_HEADER + b"\x0c\x08" + b"\0" * 21,
            rf"cut short: its last 5 .* \(truncate -s {len(DAT_HEADER) + 18} FILE",
        ),
        (DAT_HEADER + b"\x0c", "cut short: it ends with its header"),
        (DAT_HEADER[:-9], "cut short: its header has no end"),
        (DAT_HEADER + b"\x0e\x08" + b"\0" * 16, "of type 0e08, expected contrast events"),
        (DAT_HEADER.replace(b"2", b"1") + b"\x0c\x08", "DAT version 1, expected 2"),
        (b"\x0c\x08" + b"\0" * 16, "not a DAT recording .no line that begins with"),
    ],
)
def test_dat_is_refused_by_its_cause(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(data)
    with pytest.raises(events.UserError, match=rf"a\.dat: .*{says}"):
        read_events(path)


def test_dat_cut_three_bytes_short(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes((shared_data / "recordings" / "tonic_sample_ncars.dat").read_bytes()[:-3])
    with pytest.raises(events.UserError, match=r"a\.dat: cut short") as caught:
        read_events(path)
    # The command in the message keeps the whole events.
    os.truncate(path, int(str(caught.value).split("truncate -s ")[1].split()[0]))
    assert len(read_events(path)[0]) == 2008


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_drive_the_motion_branch(shared_data: Path, name: str) -> None:
    """The same door as a clip's: E_v of (T, K, 512), then spikes of every layer."""
    count, size, first, last = RECORDINGS[name]
    path = shared_data / "recordings" / name
    bins_TKD = read_bins(path)
    assert bins_TKD.shape == (-(-(last + 1 - first) // 1_000_000), 8, 512)
    found, _ = read_events(path)
    # Independently: sums over cells with NumPy's own histogram.
    bins = (found["t"] - first) * 8 // 1_000_000
    cells = found["p"] * 256 + found["y"].astype(int) * 16 // size[1] * 16
    cells += found["x"].astype(int) * 16 // size[0]
    counts = np.zeros((8, 512))
    np.add.at(counts, (bins, cells), 1)
    area = np.bincount(np.arange(size[1]) * 16 // size[1], minlength=16)[:, None]
    area = (area * np.bincount(np.arange(size[0]) * 16 // size[0], minlength=16)).reshape(-1)
    expected = np.minimum(np.floor(16 * counts / np.tile(area, 2) + 0.5), 255)
    assert counts.sum() == count and np.array_equal(bins_TKD[0], expected)

    torch.manual_seed(0)
    branch = MotionBranch(512, 512, 3).eval()
    for linear in branch.linears:
        torch.nn.init.normal_(linear.weight, 0.0, 0.5)  # type: ignore[arg-type]
    input_BSD = torch.from_numpy(bins_TKD.astype(np.float32) / 16).reshape(1, -1, 512)
    with torch.no_grad():
        spikes_BSN = branch(input_BSD)
        silent_BSN = branch(torch.zeros_like(input_BSD))
    assert spikes_BSN.shape == (1, input_BSD.shape[1], 512)
    assert set(spikes_BSN.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(spikes_BSN, silent_BSN)


def test_a_recording_becomes_any_of_our_formats(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_data / "recordings" / "tonic_sample.aedat4"
    found, metadata = read_events(path)
    for ending in ("h5", "npz", "aedat4"):
        out = tmp_path / f"a.{ending}"
        assert main([str(path), str(out)]) == 0
        assert "settings not in the file" in capsys.readouterr().out
        again, kept = read_events(out)
        assert np.array_equal(again, found)
        assert (kept.sensor_size, kept.start_us) == (metadata.sensor_size, metadata.start_us)
        assert np.array_equal(read_bins(out), read_bins(path))
    assert main([str(path), str(tmp_path / "b.raw")]) == 2  # stamps since 1970: 51 bits
    assert "write .h5 or .npz" in capsys.readouterr().err
    assert main([str(path), str(tmp_path / "b.h5"), "--preview", str(tmp_path / "p.mp4")]) == 2
    assert "is an event file, expected a video" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["a.aedat4", "a.h5", "a.npz"]


@pytest.mark.parametrize("ending", ["aedat4", "raw", "dat", "bin"])
@pytest.mark.parametrize("data", [b"", b"hello, world\n" * 100, b"\xff" * 1000, b"% only\n" * 9])
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, ending: str, data: bytes) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(data)
    with pytest.raises(events.UserError, match=rf"a\.{ending}: ") as caught:
        read_events(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_cut_short_is_a_beginning_or_refused(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    path = shared_data / "recordings" / name
    whole, _ = read_events(path)
    for share in (0.3, 0.7):
        data = path.read_bytes()
        cut = tmp_path / name
        cut.write_bytes(data[: int(share * len(data))])
        try:
            found, _ = read_events(cut)
        except events.UserError as error:
            assert name in str(error)
            continue
        assert 0 < len(found) < len(whole) and np.array_equal(found, whole[: len(found)])
