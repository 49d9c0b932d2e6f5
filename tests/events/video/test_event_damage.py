"""Damaged clips: what cannot be decoded is skipped, counted and named, or refused."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec import Codec

from events import UserError
from events.convert import main
from events.files.io import read_events
from events.video.clip import Clip
from events.video.footage import Wanted, read_footage
from events.video.losses import places
from events.video.remarks import remarks_of
from tests.events.films import write_film

FRAMES, RATE, GROUP = 40, 10, 10
# Encoder, ending and options. Each packet of these is one frame, without references to later ones.
PLAIN = {
    "h264": ("libx264", "mp4", {"bf": "0", "refs": "1"}),
    "mpeg4": ("mpeg4", "mkv", {}),
    "vp9": ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8"}),
    "vp8": ("libvpx", "webm", {"deadline": "realtime"}),
}


def write(path: Path, encoder: str, options: dict[str, str], *, index_first: bool = True) -> Path:
    """A bar on a textured ground; each frame has its number as a binary row of 8x8 blocks."""
    try:
        Codec(encoder, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no {encoder}")
    ground = np.random.default_rng(0).integers(30, 70, (64, 96), dtype=np.uint8)
    mux = {"movflags": "+faststart"} if path.suffix == ".mp4" and index_first else {}
    with av.open(str(path), "w", options=mux) as container:
        stream: Any = container.add_stream(encoder, rate=RATE, options={"g": "10", **options})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(FRAMES):
            image = np.roll(ground, 2 * i, axis=1)
            image[:16] = 20
            for bit in range(6):
                image[:16, 16 * bit : 16 * bit + 16] = 230 if i >> bit & 1 else 20
            rgb = np.repeat(image[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def number(luma: np.ndarray) -> int:
    """The number that `write` has drawn."""
    return sum(
        int(luma[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 125) << bit for bit in range(6)
    )


def damage(path: Path, packets: Container[int]) -> None:
    """Overwrite packets of the first video stream with noise."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        contents = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    noise, begin = np.random.default_rng(1), 0
    for i, content in enumerate(contents):
        begin = data.index(content, begin)
        if i in packets:
            size = len(content)
            data[begin : begin + size] = noise.integers(0, 256, size, dtype=np.uint8).tobytes()
        begin += len(content)
    path.write_bytes(data)


# Packets that are damaged; frames that must be missing: the packet itself, and all until the next
# key frame if it was one.
CASES = {
    "first": ([0], range(GROUP)),
    "second": ([1], [1]),
    "middle": ([19], [19]),
    "two apart": ([15, 33], [15, 33]),
    "three": ([5, 6, 7], [5, 6, 7]),
    "last": ([39], [39]),
    "last two": ([38, 39], [38, 39]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("codec", PLAIN)
def test_the_other_frames_are_read_at_their_times(tmp_path: Path, codec: str, case: str) -> None:
    encoder, ending, options = PLAIN[codec]
    path = write(tmp_path / f"a.{ending}", encoder, options)
    packets, missing = CASES[case]
    damage(path, packets)
    with Clip(path) as clip:
        found = [(number(frame.luma), frame.time_us) for frame in clip]
        remarks = remarks_of(clip, found[-1][1])
    if codec == "mpeg4" and case == "first":
        missing = [0]  # FFmpeg's decoder goes on without a key frame
    left = [i for i in range(FRAMES) if i not in missing]
    assert [time for _, time in found] == [100_000 * (i - left[0]) for i in left]
    if case in ("middle", "last", "last two") or (case == "first" and codec != "mpeg4"):
        assert [n for n, _ in found] == left  # no other frame refers to the missing ones
    assert clip.lost == len(missing)
    assert remarks[0].startswith(f"{len(missing)} of {FRAMES} frames could not be decoded (")


def test_b_frames_and_the_frames_that_refer_to_a_lost_one(tmp_path: Path) -> None:
    """With a lost reference, H.264 and MPEG-4 leave out frames without an error for each."""
    for encoder, ending in (("libx264", "mp4"), ("mpeg4", "avi"), ("libx265", "mp4")):
        quiet = {"x265-params": "log-level=none:keyint=10"} if encoder == "libx265" else {"bf": "2"}
        path = write(tmp_path / f"{encoder}.{ending}", encoder, quiet)
        for packet in (1, 11):
            damage(path, [packet])
        with Clip(path) as clip:
            times = [frame.time_us for frame in clip]
            assert len(times) + clip.lost == FRAMES and clip.losses.refused == 2
            assert 2 <= clip.lost < FRAMES / 2


def test_where_frames_are_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", "mpeg4", {})
    damage(path, [0, 5, 6, 7, 19, 39])
    with Clip(path) as clip:
        last = [frame.time_us for frame in clip][-1]
        assert remarks_of(clip, last) == (
            "6 of 40 frames could not be decoded (before the first frame shown, from 0.4 to 0.6 s, "
            "at 1.8 s and 1 other place)",
        )


def test_places() -> None:
    from fractions import Fraction

    tick = Fraction(1, 10)
    assert places([], 0, 9, tick, 1) == ""
    assert places([-3, -2, -1], 0, 9, tick, 1) == "before the first frame shown"
    assert places([11, 12], 0, 9, tick, 1) == "after the last frame shown"
    assert places([3, 5, 6], 1, 9, tick, 1) == "at 0.2 s, from 0.4 to 0.5 s"
    assert places([1, 3, 5, 7, 9], 0, 20, tick, 1).endswith("at 0.5 s and 2 other places")


def test_all_commands_skip_it_and_strict_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.mkv", "mpeg4", {})
    damage(path, [19])
    out = tmp_path / "a.h5"
    assert main([str(path), str(out), "--preview", str(tmp_path / "p.mp4")]) == 0
    says = "1 of 40 frames could not be decoded (at 1.9 s)"
    assert says in " ".join(capsys.readouterr().out.split())
    assert read_events(out)[1].frames == 39
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert len(list(container.decode(video=0))) == 39
    footage = read_footage(Wanted(str(path)))
    assert footage.remarks[0] == says and footage.seconds == 4
    out.unlink()
    assert main([str(path), str(out), "--strict"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not out.exists()
    with pytest.raises(UserError, match="--strict"):
        read_footage(Wanted(str(path), strict=True))
    with pytest.raises(UserError, match="--strict"):
        read_footage(Wanted(str(path), strict=True, max_seconds=3))  # the end is not read
    assert read_footage(Wanted(str(path), strict=True, max_seconds=1)).seconds == 1


def test_a_folder_is_converted_again_when_strict_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(source / "good.mkv", "mpeg4", {})
    damage(write(source / "bad.mkv", "mpeg4", {}), [19])
    arguments = [str(source), str(out), "--engine", "sequential"]
    assert main(arguments) == 0
    assert "2 clips converted" in capsys.readouterr().out
    assert main([*arguments, "--strict"]) == 1
    output = capsys.readouterr()
    assert "bad.mkv: 1 of 40 frames could not be decoded" in output.err
    assert "1 clips converted" in output.out and "1 failed" in output.out


def test_a_clip_of_which_less_than_half_can_be_decoded_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", "mpeg4", {})
    whole = path.read_bytes()
    damage(path, range(20, 40))
    with Clip(path) as clip:
        assert len(list(clip)) == clip.lost == 20  # exactly half is read
    path.write_bytes(whole)
    damage(path, range(19, 40))
    with Clip(path) as clip, pytest.raises(UserError, match="19 of 40 frames can be decoded, exp"):
        list(clip)
    path.write_bytes(whole)
    damage(path, range(40))
    with pytest.raises(UserError, match="0 of 40 frames can be decoded"):
        Clip(path)


def test_a_file_that_ends_before_its_index_does(tmp_path: Path) -> None:
    """The index of an MP4 file with its index first lists the frames that are cut off."""
    path = write(tmp_path / "a.mp4", "mpeg4", {})
    whole = path.read_bytes()
    with av.open(str(path)) as container:
        begins = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(whole[: begins[30]])
    with Clip(path) as clip:
        last = [frame.time_us for frame in clip][-1]
        assert last == 2_900_000 and clip.lost == 10
        assert "10 of 40 frames could not be decoded" in remarks_of(clip, last)
    path.write_bytes(whole[: begins[12]])
    with Clip(path) as clip, pytest.raises(UserError, match="12 of 40 frames can be decoded"):
        list(clip)
    path = write(tmp_path / "b.mp4", "mpeg4", {}, index_first=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])
    with pytest.raises(UserError, match=r"b\.mp4: its index cannot be read .*cut short"):
        Clip(path)


def test_an_avi_without_its_index_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", "mpeg4", {})
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"idx1")])
    with Clip(path) as clip:
        assert [number(frame.luma) for frame in clip] == list(range(FRAMES))
        assert not clip.damage


def test_the_sound_of_a_damaged_clip_is_complete(tmp_path: Path) -> None:
    """After an error the file is decoded again; no sound is lost, none comes twice."""
    tone = 0.5 * np.sin(np.arange(4 * 8000) * 2 * np.pi * 440 / 8000)
    path = write_film(tmp_path / "a.mkv", FRAMES, RATE, tone, 8000)
    before = read_footage(Wanted(str(path)))
    damage(path, [19, 39])
    after = read_footage(Wanted(str(path)))
    assert after.remarks[0].startswith("2 of 40 frames could not be decoded")
    assert len(after.sound) == 3 * 8000  # the last frame is lost, and with it a whole second
    assert np.array_equal(after.sound, before.sound[: 3 * 8000]) and np.ptp(after.sound) > 0.9


def test_the_damaged_clip_of_others(shared_data: Path) -> None:
    path = shared_data / "bugs" / "one_bad_packet_h264.mp4"
    if not path.exists():
        pytest.skip(f"real data absent: no {path.name}")
    with Clip(path) as clip:
        times = [frame.time_us for frame in clip]
    assert times == [100_000 * i for i in range(40) if i != 18] and clip.lost == 1
