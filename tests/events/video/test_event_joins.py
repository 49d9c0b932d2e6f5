"""One clock for frames and sound of joined files, in whatever order their packets come."""

from __future__ import annotations

from fractions import Fraction

import pytest
from av.format import ContainerFormat
from av.packet import Packet

from events.video.joins import Joins

TICK, SOUND_TICK = Fraction(1, 1000), Fraction(1, 8000)


def packet(stamp: int | None, tick: Fraction, size: int = 1, delay: int = 0) -> Packet:
    made = Packet(size)
    made.time_base = tick
    if stamp is not None:
        made.dts, made.pts = stamp, stamp + delay
    return made


class File:
    """Feeds packets by their time in ms, and collects the moved times, in ms."""

    def __init__(self, name: str = "mpegts") -> None:
        self.joins = Joins(ContainerFormat(name, "r"), TICK, 100)
        self.frames: list[int] = []
        self.sound: list[int] = []

    def frame(self, *times: int) -> File:
        for time in times:
            made = packet(time, TICK)
            self.joins.frames(made)
            assert made.dts == made.pts and made.dts is not None
            self.frames.append(made.dts)
        return self

    def hear(self, *times: int | None) -> File:
        for time in times:
            stamp = None if time is None else 8 * time
            for made in self.joins.sound(packet(stamp, SOUND_TICK, size=int(time is not None))):
                if made.dts is not None:
                    self.sound.append(made.dts // 8)
        return self


def test_sound_of_the_next_part_waits_for_its_frames() -> None:
    file = File().frame(1000, 1100).hear(1000, 1100).hear(500, 600)
    assert file.sound == [1000, 1100]
    file.frame(500).hear(700)
    assert file.frames == [1000, 1100, 1200] and file.sound == [1000, 1100, 1200, 1300, 1400]


def test_sound_of_the_last_part_may_come_after_frames_of_the_next() -> None:
    file = File().frame(1000, 1100).hear(1000).frame(500, 600).hear(1100, 500, 600)
    assert file.frames == [1000, 1100, 1200, 1300]
    assert file.sound == [1000, 1100, 1200, 1300] and file.joins.count == 1


def test_sound_that_jumps_alone_is_kept_as_it_is() -> None:
    file = File().frame(1000, 1100).hear(1000, 1100, 500).frame(1200).hear(600, None)
    assert file.sound == [1000, 1100, 500, 600] and file.joins.count == 0
    file = File().frame(1000).hear(1000, *range(30_000, 60_000, 100))
    assert len(file.sound) > 40  # a gap of 29 s in the sound only; waits for at most 256 packets


def test_sound_that_begins_in_a_later_part() -> None:
    file = File().frame(1000, 1100, 500, 600).hear(500, 600)
    assert file.sound == [1200, 1300]


@pytest.mark.parametrize("name,back,ahead", [("mpegts", 101, 10_001), ("mov", 1001, 108_000_001)])
def test_the_limits_are_those_of_ffmpeg(name: str, back: int, ahead: int) -> None:
    for step, jumps in ((-back, 1), (-back + 1, 0), (ahead, 1), (ahead - 1, 0)):
        file = File(name).frame(200_000_000, 200_000_000 + step)
        assert file.joins.count == jumps, step
        assert file.frames[1] - file.frames[0] == (100 if jumps else step)


def test_a_part_begins_behind_the_last_frame_shown() -> None:
    """With B-frames the last packet is not the last frame, and decoding begins earlier."""
    joins = Joins(ContainerFormat("mpegts", "r"), TICK, 100)
    shown = []
    for dts, delay in ((0, 200), (100, 400), (200, 100), (300, 100), (0, 200), (100, 400)):
        made = packet(dts, TICK, delay=delay)
        joins.frames(made)
        shown.append(made.pts)
    # The first part is shown from 200 to 500 and lasts 100 more, the next begins at 600.
    assert shown == [200, 500, 300, 400, 600, 900]


def test_packets_without_stamps_are_left_alone() -> None:
    joins = Joins(ContainerFormat("h264", "r"), TICK, 100)
    for _ in range(3):
        made = packet(None, TICK)
        joins.frames(made)
        assert made.pts is None and made.dts is None and joins.count == 0
