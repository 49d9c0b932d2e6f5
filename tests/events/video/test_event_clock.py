"""The clock of a clip: files without time stamps, joined files, stamps that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec import Codec

from events.convert import main
from events.explain import Explain, trace
from events.files.io import read_events
from events.video.clip import Clip
from events.video.footage import Wanted, read_footage
from events.video.remarks import remarks_of

JOINED = "1 jump of the file's clock: the parts follow one another"


def read(path: Path) -> tuple[list[int], list[int], tuple[str, ...]]:
    """The times in ms and the brightness of the frames, and the remarks."""
    with Clip(path) as clip:
        frames = list(clip)
        remarks = remarks_of(clip, frames[-1].time_us)
    times = [frame.time_us for frame in frames]
    return [t // 1000 for t in times], [int(f.plane[20, 20]) for f in frames], remarks


def write(
    path: Path,
    stamps: list[int],
    encoder: str,
    *,
    muxer: str | None = None,
    rate: int = 10,
    base: Fraction = Fraction(1, 10),
    options: dict[str, str] | None = None,
    first: int = 0,
    tone: bool = False,
) -> Path:
    """Frames with these stamps, each brighter than the one before; sound of the same length."""
    try:
        Codec(encoder, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no {encoder}")
    with av.open(str(path), "w", format=muxer) as container:
        stream: Any = container.add_stream(encoder, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = base
        sound: Any = container.add_stream("mp2", rate=16000, layout="mono") if tone else None
        for i, stamp in enumerate(stamps):
            luma = np.full((48, 64), (40 + 4 * (first + i)) % 256, np.uint8)
            image = np.concatenate([luma, np.full((24, 64), 128, np.uint8)])
            frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
            frame.pts, frame.time_base = stamp, base
            container.mux(stream.encode(frame))
            if sound is not None:
                n = np.arange(16000 // rate) + i * (16000 // rate)
                pcm = np.rint(8000 * np.sin(2 * np.pi * (440 + 220 * (first > 0)) * n / 16000))
                part = av.AudioFrame.from_ndarray(pcm.astype(np.int16)[None], "s16", "mono")
                part.sample_rate, part.time_base = 16000, Fraction(1, 16000)
                part.pts = round(stamps[0] * base * 16000) + int(n[0])
                container.mux(sound.encode(part))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def brightness(number: int) -> list[int]:
    return [40 + 4 * i for i in range(number)]


@pytest.mark.parametrize("encoder,muxer", [("libx264", "h264"), ("libx265", "hevc")])
@pytest.mark.parametrize("rate", [10, 30])
def test_a_stream_without_stamps_has_the_rate_of_its_codec(
    tmp_path: Path, encoder: str, muxer: str, rate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Fraction(1, rate)
    options = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
    path = write(
        tmp_path / f"a.{muxer}", list(range(40)), encoder, rate=rate, base=base, options=options
    )
    times, found, remarks = read(path)
    assert times == [1000 * i // rate for i in range(40)]
    assert np.abs(np.subtract(found, brightness(40))).max() <= 2
    assert remarks == (f"no time stamps in the file: {rate} frames per second",)
    assert main([str(path), str(tmp_path / "a.h5")]) == 0
    assert remarks[0] in " ".join(capsys.readouterr().out.split())
    _, metadata = read_events(tmp_path / "a.h5")
    assert (metadata.fps, metadata.frames) == (rate, 40)
    footage = read_footage(Wanted(str(path)))
    assert (footage.fps, footage.seconds) == (rate, 40 // rate) and remarks[0] in footage.remarks


def test_without_a_rate_in_the_codec_it_is_ffmpegs(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none:vui-timing-info=0:no-vui-timing-info=1"}
    path = write(tmp_path / "a.hevc", list(range(12)), "libx265", options=options)
    times, _, remarks = read(path)
    assert times == [40 * i for i in range(12)]
    assert remarks == ("no time stamps in the file: 25 frames per second",)


@pytest.mark.parametrize("muxer", ["mpegts", "vob"])
def test_a_clock_that_goes_back_begins_a_part(
    tmp_path: Path, muxer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two recordings that both begin at 0, joined as bytes: two seconds and one."""
    a = write(tmp_path / "a.mpg", list(range(20)), "mpeg2video", muxer=muxer, tone=True)
    b = write(tmp_path / "b.mpg", list(range(10)), "mpeg2video", muxer=muxer, tone=True, first=20)
    path = tmp_path / "ab.mpg"
    path.write_bytes(a.read_bytes() + b.read_bytes())
    times, found, remarks = read(path)
    assert times == [100 * i for i in range(30)]
    assert np.abs(np.subtract(found, brightness(30))).max() <= 3
    assert remarks == (JOINED,)
    # The events, the seconds, one pixel and the preview have the same clock.
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 0
    assert JOINED in " ".join(capsys.readouterr().out.split())
    assert read_events(tmp_path / "a.h5")[1].duration_us == 2_900_000
    with av.open(str(tmp_path / "p.mp4")) as container:
        shown = [round(1000 * frame.time) for frame in container.decode(video=0)]
    assert [time - shown[0] for time in shown] == times
    traced = trace(Explain(path, (3, 3), begin=2.5, seconds=0.2))
    assert traced.times_us[-1] == 2_700_000
    footage = read_footage(Wanted(str(path)))
    assert footage.seconds == 3
    # The sound of the second part is a tone of 660 Hz; the sound of each part lasts as its frames.
    for second, tone in enumerate((440, 440, 660)):
        part = footage.sound[8000 * second + 1500 : 8000 * second + 6500]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert abs(int(spectrum.argmax()) * 8000 / len(part) - tone) < 3
        assert np.abs(part).max() > 0.15


def test_a_part_that_is_joined_to_itself_many_times(tmp_path: Path) -> None:
    a = write(tmp_path / "a.ts", list(range(4)), "mpeg2video", tone=True).read_bytes()
    path = tmp_path / "b.ts"
    path.write_bytes(5 * a)
    times, found, remarks = read(path)
    assert times == [100 * i for i in range(20)]
    assert np.abs(np.subtract(found, 5 * brightness(4))).max() <= 3
    assert remarks == ("4 jumps of the file's clock: the parts follow one another",)


def test_other_containers_that_are_joined(tmp_path: Path) -> None:
    a = write(tmp_path / "a.mkv", list(range(15)), "mpeg4").read_bytes()
    b = write(tmp_path / "b.mkv", list(range(5)), "mpeg4", first=15).read_bytes()
    path = tmp_path / "ab.mkv"
    path.write_bytes(a + b)
    times, found, remarks = read(path)
    assert times == [100 * i for i in range(20)] and JOINED in remarks
    assert np.abs(np.subtract(found, brightness(20))).max() <= 3


def test_a_transport_stream_whose_clock_jumps_ahead(tmp_path: Path) -> None:
    """An hour later in a transport stream is another part, 8 s are a gap."""
    for ahead, expected in ((36_000, 1000), (80, 8900)):
        a = write(tmp_path / "a.ts", list(range(10, 20)), "mpeg2video", tone=True).read_bytes()
        stamps = [19 + ahead + i for i in range(10)]
        b = write(tmp_path / "b.ts", stamps, "mpeg2video", first=10, tone=True).read_bytes()
        path = tmp_path / "ab.ts"
        path.write_bytes(a + b)
        times, _, remarks = read(path)
        assert times[:10] == [100 * i for i in range(10)] and times[10] == expected
        assert remarks == ((JOINED,) if ahead > 1000 else ())


def test_a_long_still_is_kept_and_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [0, 1, 151, 152], "mpeg4")
    times, _, remarks = read(path)
    assert times == [0, 100, 15_100, 15_200]
    assert remarks == ("no frames from 0.1 to 15.1 s",)


def remux(source: Path, target: Path, stamp: Callable[[int], int]) -> Path:
    """Copy the packets of a video stream with other stamps; `stamp` has and gives ticks."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copy: Any = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts = stamp(packet.pts), stamp(packet.dts)
                packet.stream = copy
                new.mux(packet)
    return target


def test_a_clock_that_wraps_within_the_file(tmp_path: Path) -> None:
    """A transport stream's clock has 33 bits; stamps before the wrap become negative."""
    path = write(tmp_path / "a.ts", list(range(20)), "mpeg2video")
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).pts
    assert first is not None
    # FFmpeg's muxer adds 1.4 s.
    remux(path, tmp_path / "b.ts", lambda t: t - first + 2**33 - 126_000 - 10 * 9000 + 4500)
    with av.open(str(tmp_path / "b.ts")) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps[0] is not None and stamps[0] < 0
    assert read(tmp_path / "b.ts")[::2] == ([100 * i for i in range(20)], ())


STILLS = [*range(5), *range(105, 806, 100)]  # of 1/25 s: five frames, then one every four seconds


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
@pytest.mark.parametrize(
    "stamps, expected",
    [
        ([0, 1, 250], 10),  # the gaps are 0.04 and 9.96 s, their median 5 s
        ([0, 250], 10),
        (STILLS, 32),  # the last begins at 32.2 s
        ([*range(40), 50], 2),  # at 2.0 s
        ([*range(20), *range(30, 48)], 1),  # frames lost, the end at 1.92 s
        ([*range(20), *range(30, 50)], 2),
        ([0, 100, 200], 12),  # a constant rate: four seconds each
    ],
)
def test_the_last_frame_adds_no_time_that_is_not_declared(
    tmp_path: Path, name: str, stamps: list[int], expected: int
) -> None:
    path = write(tmp_path / name, stamps, "mpeg4", rate=25, base=Fraction(1, 25))
    assert read_footage(Wanted(str(path))).seconds == expected


def test_a_declared_last_frame_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", STILLS, "mpeg4", rate=25, base=Fraction(1, 25))
    with av.open(str(path)) as old, av.open(str(tmp_path / "b.mp4"), "w") as new:
        copy: Any = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None and packet.time_base is not None:
                packet.duration, packet.stream = round(4 / packet.time_base), copy
                new.mux(packet)
    assert read_footage(Wanted(str(tmp_path / "b.mp4"))).seconds == 36


@pytest.mark.parametrize("frames, expected", [(57, 1), (116, 1), (117, 2)])
def test_the_length_at_a_constant_rate_is_exact(tmp_path: Path, frames: int, expected: int) -> None:
    """Sixty frames a second are 16,666 or 16,667 µs apart; 117 end 50 ms before two seconds."""
    base = Fraction(1, 60)
    path = write(tmp_path / "a.mp4", list(range(frames)), "mpeg4", rate=60, base=base)
    assert read_footage(Wanted(str(path))).seconds == expected


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_the_length_of_an_avi_whose_stamps_are_in_decoding_order(
    tmp_path: Path, encoder: str
) -> None:
    """No packet declares an end after the last frame, which then lasts one nominal period."""
    stamps, options = [*range(10), *range(17, 30)], {"bf": "2"}
    path = write(tmp_path / "a.avi", stamps, encoder, options=options)
    assert read_footage(Wanted(str(path))).seconds == 3


def test_a_negative_first_stamp_is_time_0(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", list(range(-5, 5)), "mpeg4")
    assert read(path)[0] == [100 * i for i in range(10)]


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_frames_left_out_of_an_avi_with_b_frames(tmp_path: Path, encoder: str) -> None:
    """AVI has no presentation stamps; FFmpeg's decoding stamps show where frames are missing."""
    stamps = [*range(8), *range(15, 30)]
    path = write(
        tmp_path / "a.avi", stamps, encoder, options={"bf": "2", "x264-params": "b-adapt=0"}
    )
    times, found, remarks = read(path)
    assert times == [100 * stamp for stamp in stamps]
    assert found == sorted(found)
    if encoder == "libx264":  # FFmpeg's parser for MPEG-4 gives presentation stamps
        assert len(remarks) == 1
        assert "time stamps out of order: FFmpeg's best-effort ones are used" in remarks[0]


def test_equal_stamps(tmp_path: Path) -> None:
    """One that repeats is dropped; if all are equal they say nothing, and the rate is used."""
    path = write(tmp_path / "a.mkv", list(range(8)), "mpeg4")
    repeated = remux(path, tmp_path / "b.mkv", lambda t: t - (t == 300) * 100)
    times, found, remarks = read(repeated)
    assert times == [0, 100, 200, 400, 500, 600, 700]
    assert np.abs(np.subtract(found, np.delete(brightness(8), 3))).max() <= 2
    assert remarks == ("1 frame dropped: the time stamps did not increase",)
    times, found, remarks = read(remux(path, tmp_path / "c.mkv", lambda t: 0))
    assert times == [100 * i for i in range(8)]
    assert np.abs(np.subtract(found, brightness(8))).max() <= 2
    assert remarks == ("no time stamps in the file: 10 frames per second",)


@pytest.mark.parametrize(
    "name,times,remark",
    [
        ("t.h264", range(0, 2000, 100), "no time stamps in the file: 10 frames per second"),
        ("joined.ts", range(0, 4000, 40), JOINED),
        (
            "h264_gap.avi",
            [*range(0, 800, 100), *range(1500, 3000, 100)],
            "7 time stamps out of order: FFmpeg's best-effort ones are used",
        ),
    ],
)
def test_clips_of_others(shared_data: Path, name: str, times: range, remark: str) -> None:
    path = shared_data / "bugs" / name
    if not path.exists():
        pytest.skip(f"real data absent: no {name}")
    found, _, remarks = read(path)
    assert found == list(times) and remarks == (remark,)
