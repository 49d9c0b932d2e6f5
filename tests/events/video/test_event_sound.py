"""The sound of a clip, on the clock of its pictures."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import InvalidDataError

from events.convert import main
from events.video.clip import Clip
from events.video.sound import Sound, SoundTrack, lay_out
from tests.events.films import write_film

RATE = 8000


def click(at_s: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """Silence with 10 ms of full scale at one moment."""
    sound = np.zeros(round(seconds * rate), np.float32)
    begin = round(at_s * rate)
    sound[begin : begin + rate // 100] = 0.9
    return sound


def tape_of(path: Path, seconds: float, rate: int = RATE) -> np.ndarray:
    with Clip(path, sound_rate=rate) as clip:
        stretches = [sound for frame in clip for sound in frame.sound]
    for before, after in pairwise(stretches):
        assert after.start >= before.start + len(before.samples)
    assert all(s.samples.dtype == np.float32 and s.start >= 0 for s in stretches)
    return lay_out(stretches, round(seconds * rate))


def centre(tape: np.ndarray, rate: int = RATE) -> float:
    """When the click is, in seconds: the middle of its energy."""
    power = tape.astype(float) ** 2
    return float((power * np.arange(len(tape))).sum() / power.sum() / rate)


def test_sound_at_the_files_own_rate_is_sample_for_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, 2 * RATE)
    path = write_film(tmp_path / "a.mkv", 20, 10, sound, RATE)
    pcm = np.rint(sound * 32767) / 32768
    assert np.abs(tape_of(path, 2.0) - pcm).max() < 1e-6


@pytest.mark.parametrize("frames", [1, 3, 40])
@pytest.mark.parametrize(
    "delay,frame_delay", [(0.0, 0.0), (0.7, 0.0), (0.0, 0.5), (1.0, 0.25), (0.25, 1.0)]
)
def test_sound_keeps_its_place_beside_the_pictures(
    tmp_path: Path, delay: float, frame_delay: float, frames: int
) -> None:
    """The click is 1.5 s into the sound: at 1.5 s + its delay − that of the first frame."""
    path = write_film(
        tmp_path / "a.mkv", frames, 10, click(1.5, 4.0), RATE, delay_s=delay,
        frame_delay_s=frame_delay,
    )  # fmt: skip
    expected = 1.5 + delay - frame_delay + 0.005
    assert abs(centre(tape_of(path, 6.0)) - expected) < 2 / RATE


def test_resampled_and_mixed_down_from_5_1(tmp_path: Path) -> None:
    loud = click(1.0, 2.0, 48_000)
    channels = np.zeros((6, len(loud)), np.float32)
    channels[0] = loud  # front left alone
    path = write_film(tmp_path / "a.mkv", 20, 10, channels, 48_000, layout="5.1")
    tape = tape_of(path, 2.0)
    assert abs(centre(tape) - 1.005) < 0.001
    assert 0.05 < np.abs(tape).max() < 0.9
    both = channels.copy()
    both[1] = loud
    louder = tape_of(write_film(tmp_path / "b.mkv", 20, 10, both, 48_000, layout="5.1"), 2.0)
    assert np.allclose(louder, 2 * tape, atol=0.02)


def test_compressed_sound_keeps_its_place(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", 40, 10, click(1.5, 4.0, 44_100), 44_100, codec="aac")
    assert abs(centre(tape_of(path, 4.0)) - 1.505) < 0.005


def test_no_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_film(tmp_path / "a.mkv", 5, 10, None, RATE)
    with Clip(path, sound_rate=RATE) as clip:
        assert clip.track is None and clip.sounds == 0
        assert [frame.sound for frame in clip] == [()] * 5
    assert main([str(path), str(tmp_path / "a.h5"), "--preview", str(tmp_path / "p.mp4")]) == 0
    assert "no sound in the file" in capsys.readouterr().out


def test_sound_not_asked_for_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "a.mkv", 5, 10, click(0.1, 0.5), RATE)
    monkeypatch.setattr(SoundTrack, "feed", lambda *_: pytest.fail("decoded"))
    with Clip(path) as clip:
        assert clip.track is None and clip.sounds == 1
        assert len(list(clip)) == 5


class Packet:
    """A packet of a decoder that we make up: chunks of ones with stamps, or an error."""

    def __init__(self, *stamps: int | None, n: int = 800, broken: bool = False) -> None:
        self.stamps, self.n, self.broken, self.dts = stamps, n, broken, 0

    def decode(self) -> list[Any]:
        if self.broken:
            raise InvalidDataError(1, "broken")
        frames = []
        for stamp in self.stamps:
            frame = av.AudioFrame.from_ndarray(
                np.full((1, self.n), 0.5, np.float32), format="flt", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, stamp, Fraction(1, RATE)
            frames.append(frame)
        return frames


def fed(*packets: Packet) -> tuple[SoundTrack, list[tuple[int, int]]]:
    stream: Any = None
    track = SoundTrack(stream, RATE)
    for packet in packets:
        track.feed(packet)  # type: ignore[arg-type]
    return track, [(s.start, len(s.samples)) for s in track.take(Fraction(0))]


def test_holes_are_silent_overlaps_are_cut_and_jitter_is_neither() -> None:
    _, found = fed(Packet(0), Packet(801), Packet(4000), Packet(4400))
    # 801 follows 0 + 800 but for rounding; 4400 overlaps the 800 samples from 4000 on.
    assert found == [(0, 800), (800, 800), (4000, 800), (4800, 400)]


def test_a_broken_packet_is_counted_and_leaves_a_hole() -> None:
    track, found = fed(Packet(0), Packet(broken=True), Packet(1600))
    assert track.broken == 1 and found == [(0, 800), (1600, 800)]


class Frames:
    """A packet that decodes to given frames."""

    dts = 0

    def __init__(self, *frames: av.AudioFrame) -> None:
        self.frames = list(frames)

    def decode(self) -> list[av.AudioFrame]:
        return self.frames


def tone_frame(rate: int, begin: float, layout: str = "mono", amplitude: float = 0.5) -> Any:
    """A second of 100 Hz in all channels, from `begin` (seconds) on."""
    tone = amplitude * np.sin(2 * np.pi * 100 * np.arange(rate) / rate).astype(np.float32)
    count = av.AudioLayout(layout).nb_channels
    block = np.ascontiguousarray(np.repeat(tone[:, None], count, axis=1).reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
    frame.sample_rate, frame.pts = rate, round(begin * rate)
    frame.time_base = Fraction(1, rate)
    return frame


def tape_of_frames(*frames: av.AudioFrame, seconds: int) -> tuple[SoundTrack, np.ndarray]:
    stream: Any = None
    track = SoundTrack(stream, RATE)
    for frame in frames:
        track.feed(Frames(frame))  # type: ignore[arg-type]
    flush: Any = Frames()
    flush.dts, flush.size = None, 0
    track.feed(flush)
    return track, lay_out(track.take(Fraction(0)), seconds * RATE)


def test_rate_and_layout_may_change_within_a_stream() -> None:
    """Each second has another rate and layout; together they are one tone without a hole."""
    changes = [(48_000, "5.1"), (44_100, "mono"), (8000, "stereo"), (8000, "9 channels")]
    frames = [tone_frame(rate, i, layout) for i, (rate, layout) in enumerate(changes)]
    track, tape = tape_of_frames(*frames, seconds=4)
    expected = 0.5 * np.sin(2 * np.pi * 100 * np.arange(4 * RATE) / RATE)
    difference = np.abs(tape - expected)
    # At a change of the rate a resampler begins and ends in silence: one millisecond.
    near = np.abs((np.arange(4 * RATE) / RATE + 0.5) % 1 - 0.5) < 0.002
    assert difference[~near].max() < 1e-3 and difference.max() < 0.3
    assert track.broken == 0 and track.beyond == 0


def test_a_hole_keeps_its_length_when_the_rate_is_changed() -> None:
    _, tape = tape_of_frames(tone_frame(48_000, 0), tone_frame(48_000, 2.5), seconds=4)
    loud = np.abs(tape) > 0.01
    assert not loud[RATE + 20 : 5 * RATE // 2 - 20].any()
    assert loud[RATE - 60 : RATE].any() and loud[5 * RATE // 2 : 5 * RATE // 2 + 60].any()
    expected = 0.5 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    inner = slice(100, RATE - 100)
    assert np.abs(tape[5 * RATE // 2 : 7 * RATE // 2][inner] - expected[inner]).max() < 1e-3


def test_a_clock_that_goes_back_begins_a_part_with_its_own_origin() -> None:
    """Two recordings joined: seconds 10 to 12 and 0 to 1 of their clocks, shown at 0 and at 2."""
    stream: Any = None
    track = SoundTrack(stream, RATE)
    for begin in (10, 11, 0):
        track.feed(Frames(tone_frame(RATE, begin)))  # type: ignore[arg-type]
    starts = [sound.start for sound in track.take(Fraction(10))]
    assert starts == [0, RATE] and track.went_back == 1 and track.waiting == RATE
    (last,) = track.take(Fraction(10), Fraction(-2))
    assert last.start == 2 * RATE and len(last.samples) == RATE and track.waiting == 0


def test_a_frame_without_a_rate_is_counted() -> None:
    frame = tone_frame(RATE, 1)
    frame.sample_rate = 0
    track, tape = tape_of_frames(tone_frame(RATE, 0), frame, tone_frame(RATE, 2), seconds=3)
    assert track.broken == 1 and not tape[RATE : 2 * RATE].any() and tape[2 * RATE :].any()


def test_a_packet_without_a_decoding_time_does_not_end_the_sound() -> None:
    """Some containers have no decoding times; the resampler goes on over the packets."""
    stream: Any = None
    track = SoundTrack(stream, RATE)
    whole = np.sin(2 * np.pi * 100 * np.arange(48_000) / 48_000).astype(np.float32)
    for i in range(10):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(whole[None, 4800 * i : 4800 * (i + 1)]), "flt", "mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 4800 * i, Fraction(1, 48_000)
        packet: Any = Frames(frame)
        packet.dts, packet.size = None, 100
        track.feed(packet)
    tape = lay_out(track.take(Fraction(0)), RATE)
    expected = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert np.abs(tape - expected)[20:-40].max() < 1e-3


def test_a_mixdown_is_clipped_and_counted() -> None:
    """A square wave at full scale overshoots when it is resampled."""
    square = np.sign(np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000 + 0.1))
    stereo = np.repeat(square[:, None], 2, axis=1).astype(np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(stereo, format="flt", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    track, tape = tape_of_frames(frame, seconds=1)
    assert np.abs(tape).max() == 1 and track.beyond > 100


def test_numbers_that_are_no_amplitudes_stay_where_they_are() -> None:
    """A NaN in one channel is that channel's silence, and the resampler spreads nothing."""
    frame = tone_frame(48_000, 0, "stereo")
    samples = np.frombuffer(frame.planes[0], np.float32).copy().reshape(-1, 2)
    samples[20_000:20_100, 0] = np.nan
    samples[30_000] = np.inf
    frame.planes[0].update(samples)
    track, tape = tape_of_frames(frame, seconds=1)
    expected = 0.5 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert np.isfinite(tape).all() and track.not_finite == 102
    near = np.zeros(RATE, bool)
    near[3300:3380], near[4980:5020], near[:20], near[-40:] = True, True, True, True
    assert np.abs(tape - expected)[~near].max() < 1e-3


def test_what_comes_before_the_first_frame_is_cut() -> None:
    track, _ = fed()
    track.feed(Packet(0, 800, 1600))  # type: ignore[arg-type]
    found = track.take(Fraction(1000, RATE))
    assert [(s.start, len(s.samples)) for s in found] == [(0, 600), (600, 800)]


def test_sound_far_ahead_of_the_pictures_costs_no_memory() -> None:
    track, found = fed(*(Packet(RATE * i, n=RATE) for i in range(100)))
    assert sum(n for _, n in found) == 60 * RATE and track.left_out == 40 * RATE
    # One stamp of a year later is a hole and no allocation.
    year = Packet(RATE * 86_400 * 365)
    track.feed(year)  # type: ignore[arg-type]
    (sound,) = track.take(Fraction(0))
    assert sound.start == RATE * 86_400 * 365 and len(sound.samples) == 800


def test_lay_out_by_hand() -> None:
    ones = np.ones(3, np.float32)
    tape = lay_out([Sound(1, ones), Sound(6, 2 * ones), Sound(50, ones)], 8)
    assert tape.tolist() == [0, 1, 1, 1, 0, 0, 2, 2] and tape.dtype == np.float32


@pytest.mark.parametrize(
    "name,seconds",
    [("nasa_13013.mp4", 13.056), ("bigbuckbunny.mp4", 5.312), ("realshort.mp4", 1.173)],
)
def test_real_clips_bring_all_their_sound(shared_data: Path, name: str, seconds: float) -> None:
    path = shared_data / "clips" / name
    tape = tape_of(path, 20.0)
    assert abs(np.flatnonzero(tape)[-1] / RATE - seconds) < 0.2
    # The same samples as decoding the sound alone gives.
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(str(path)) as file:
        frames = [*file.decode(audio=0), None]
        parts = [x.to_ndarray()[0] for f in frames for x in resampler.resample(f)]
    alone = np.concatenate(parts)
    best = max(np.corrcoef(alone[s : s + 6000], tape[:6000])[0, 1] for s in range(0, 2000))
    assert best > 0.999


def test_a_clip_whose_sound_breaks_decoders_gives_all_its_frames(shared_data: Path) -> None:
    with Clip(shared_data / "clips" / "video_with_failing_audio.mp4", sound_rate=RATE) as clip:
        assert len(list(clip)) == 280
