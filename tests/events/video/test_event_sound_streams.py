"""Which sound stream is used, and what is said of those that cannot be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from events.convert import main
from events.video.clip import Clip
from events.video.footage import Footage, Wanted, read_footage
from tests.events.films import write_film, yuv_frame

RATE = 8000
SECONDS = 2


def tone(hertz: float) -> np.ndarray:
    """A tone that differs from stream to stream, (n,) in ±0.5."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)


def write_streams(path: Path, *sounds: np.ndarray | None, garbage: int = 0) -> Path:
    """A clip with one PCM stream per sound; None: a stream without packets.

    Args:
        path: to write.
        sounds: of each stream, (n,) in ±1.
        garbage: before these, so many FLAC streams of packets that cannot be decoded.
    """
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        broken: list[Any] = [
            container.add_stream("flac", rate=RATE, layout="mono") for _ in range(garbage)
        ]
        streams: list[Any] = [
            container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in sounds
        ]
        block = RATE // 10
        for i in range(10 * SECONDS):
            frame = yuv_frame(np.full((48, 64), 10 * i, np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(video.encode(frame))
            for stream in broken:
                packet: Any = av.Packet(b"\x55" * 64)
                packet.stream, packet.pts, packet.dts = stream, i * block, i * block
                packet.time_base = Fraction(1, RATE)
                stream.codec_context.open(strict=False)
                container.mux(packet)
            for stream, sound in zip(streams, sounds, strict=True):
                if sound is None:
                    continue
                pcm = np.rint(sound[None, i * block : (i + 1) * block] * 32767).astype(np.int16)
                heard = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
                heard.sample_rate, heard.time_base = RATE, Fraction(1, RATE)
                heard.pts = i * block
                container.mux(stream.encode(heard))
        container.mux(video.encode(None))
    return path


def without_decoder(path: Path, streams: int = 1) -> Path:
    """Give the first PCM streams of a MOV file a codec that no FFmpeg knows."""
    path.write_bytes(path.read_bytes().replace(b"sowt", b"zzzz", streams))
    return path


def read(path: Path) -> Footage:
    return read_footage(Wanted(str(path), sound_rate=RATE))


def is_tone(footage: Footage, hertz: float) -> bool:
    return bool(np.abs(footage.sound - tone(hertz)).max() < 1e-4)


def test_the_first_of_several_streams(tmp_path: Path) -> None:
    footage = read(write_streams(tmp_path / "a.mkv", tone(300), tone(500)))
    assert is_tone(footage, 300)
    assert footage.remarks == ("2 sound streams in the file: the first is used",)


def test_a_codec_without_a_decoder_is_passed_over_and_named(tmp_path: Path) -> None:
    path = without_decoder(write_streams(tmp_path / "a.mov", tone(300), tone(500)))
    footage = read(path)
    assert is_tone(footage, 500)
    assert footage.remarks == ("sound stream 2 is used (stream 1 (zzzz): no decoder)",)


def test_no_stream_with_a_decoder_is_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = without_decoder(write_streams(tmp_path / "a.mov", tone(300), tone(500)), 2)
    expected = (
        "no sound stream can be decoded (stream 1 (zzzz): no decoder, stream 2 (zzzz): no "
        "decoder): taken as silent"
    )
    footage = read(path)
    assert not footage.sound.any() and footage.remarks == (expected,)
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())


def test_an_empty_stream_is_passed_over(tmp_path: Path) -> None:
    footage = read(write_streams(tmp_path / "a.mkv", None, tone(500)))
    assert is_tone(footage, 500)
    assert footage.remarks == (
        "sound stream 2 is used (stream 1 (pcm_s16le, 1 channels): nothing decoded)",
    )


def test_streams_that_cannot_be_decoded_are_passed_over(tmp_path: Path) -> None:
    footage = read(write_streams(tmp_path / "a.mkv", tone(500), garbage=2))
    assert is_tone(footage, 500)
    assert footage.remarks == (
        "sound stream 3 is used (stream 1 (flac, mono): nothing decoded, "
        "stream 2 (flac, mono): nothing decoded)",
    )


def test_one_stream_that_cannot_be_decoded_is_silence(tmp_path: Path) -> None:
    footage = read(write_streams(tmp_path / "a.mkv", garbage=1))
    assert not footage.sound.any()
    assert footage.remarks == (
        "sound stream 1 (flac, mono): nothing decoded, taken as silent",
        "20 packets of sound could not be decoded",
    )


def test_more_channels_than_ffmpeg_converts_is_silence(tmp_path: Path) -> None:
    wide = np.zeros((100, SECONDS * RATE))
    path = write_film(tmp_path / "a.mkv", 20, 10, wide, RATE, layout="100 channels")
    footage = read(path)
    assert not footage.sound.any()
    assert footage.remarks[0] == (
        "sound stream 1 (pcm_s16le, 100 channels): nothing decoded, taken as silent"
    )


def test_sound_that_is_not_requested_is_not_examined(tmp_path: Path) -> None:
    path = without_decoder(write_streams(tmp_path / "a.mov", tone(300)))
    with Clip(path) as clip:
        assert len(list(clip)) == 20 and clip.track is None and not clip.sound.refused


def test_the_codec_of_an_iphones_spatial_sound(shared_data: Path) -> None:
    footage = read(shared_data / "bugs" / "apac_sound.mp4")
    assert footage.seconds == 2 and not footage.sound.any()
    assert footage.remarks == (
        "no sound stream can be decoded (stream 1 (apac): no decoder): taken as silent",
    )


def test_one_sound_as_mono_stereo_and_5_1_has_one_level(shared_data: Path) -> None:
    mono, stereo, surround = (
        read(shared_data / "bugs" / f"sound_{name}.mkv").sound
        for name in ("mono", "stereo_same", "51_same")
    )
    assert np.abs(mono).max() > 0.3
    assert np.abs(stereo - mono).max() < 1e-6 and np.abs(surround - mono).max() < 1e-6


def test_full_scale_stereo_stays_within_full_scale(shared_data: Path) -> None:
    sound = read(shared_data / "bugs" / "full_scale_stereo.mp4").sound
    assert 0.9 < np.abs(sound).max() <= 1
