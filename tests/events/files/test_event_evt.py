"""EVT 2, 2.1 and 3: against decoders of the published formats, one word at a time."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import events
from events.files.io import read_events
from events.records import EVENTS

HEADER_3 = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n"
HEADER_2 = b"% evt 2.0\n% format EVT2;height=480;width=640\n% end\n"
HEADER_21 = b"% evt 2.1\n% format EVT21;endianness=ORDER;height=480;width=640\n% end\n"
LATE = 2**24 - 4096  # µs: the last TIME_HIGH of EVT 3


def evt3_by_loops(data: bytes) -> list[tuple[int, int, int, bool]]:
    """EVT 3 as Prophesee specifies it, a word of 16 bits at a time."""
    while data.startswith(b"% "):
        data = data[data.index(b"\n") + 1 :]
    found, y, base, polarity = [], 0, 0, False
    high, low, wraps = None, 0, 0
    for (word,) in struct.iter_unpack("<H", data):
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x8:  # EVT_TIME_HIGH; a loop of 24 bits where it falls far back
            if high is not None and high - value > 2048:
                wraps += 1
            low = low if value == high else 0
            high = value
        elif kind == 0x6:  # EVT_TIME_LOW
            low = value
        elif kind == 0x0:  # EVT_ADDR_Y
            y = value & 0x7FF
        elif kind == 0x3:  # VECT_BASE_X
            base, polarity = value & 0x7FF, bool(value >> 11)
        elif kind in (0x2, 0x4, 0x5):
            now = None if high is None else wraps * 2**24 + high * 2**12 + low
            if kind == 0x2:  # EVT_ADDR_X
                new = [(value & 0x7FF, y, now, bool(value >> 11))]
            else:  # VECT_12, VECT_8
                size = 12 if kind == 0x4 else 8
                new = [(base + i, y, now, polarity) for i in range(size) if value >> i & 1]
                base += size
            found += [event for event in new if now is not None]
    return found


def header_21(order: str) -> bytes:
    return HEADER_21.replace(b"ORDER", order.encode())


def words_3(*words: int) -> bytes:
    return HEADER_3 + np.array(words, "<u2").tobytes()


def at_3(t: int, x: int) -> list[int]:
    """The words of one ON event at y = 7, with both halves of its time."""
    return [0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, 0x0007, 0x2800 | x]


def read(path: Path, data: bytes) -> np.ndarray:
    path.write_bytes(data)
    return read_events(path)[0]


def test_evt3_of_a_camera(shared_data: Path) -> None:
    path = shared_data / "recordings" / "expelliarmus_evt3.raw"
    expected = np.array(evt3_by_loops(path.read_bytes()), dtype=EVENTS)
    assert np.array_equal(read_events(path)[0], expected)


def test_evt3_that_begins_before_its_clock_wraps(shared_data: Path) -> None:
    path = shared_data / "bugs" / "evt3_begins_before_wrap.raw"
    found = read_events(path)[0]
    assert (found["t"] - found["t"][0])[:5].tolist() == [0, 2900, 4096, 6996, 8192]
    assert np.array_equal(found, np.array(evt3_by_loops(path.read_bytes()), dtype=EVENTS))


@pytest.mark.parametrize("first", [0, 1, 4096, 2**23, LATE - 4096, LATE, LATE + 4095])
def test_evt3_begins_anywhere_on_its_clock(tmp_path: Path, first: int) -> None:
    # Two turns of the clock, with gaps of up to 8 s.
    seconds = [8_000_000, 16_000_000, 2**24, 2**24 + 5, 24_000_000, 32_000_000, 2**25 - 7]
    steps = [0, 100, 2900, 4096, 5000, 90_000, *seconds]
    times = [first + step for step in steps]
    data = words_3(*(word for i, t in enumerate(times) for word in at_3(t % 2**24, i)))
    found = read(tmp_path / "a.raw", data)
    assert found["t"].tolist() == times and found["x"].tolist() == list(range(len(times)))
    assert found["p"].all() and set(found["y"]) == {7}


def test_evt3_wraps_without_a_time_high_of_zero(tmp_path: Path) -> None:
    times = [LATE - 4096, LATE - 1, 2**24 + 8192, 2**24 + 8200]  # no TIME_HIGH of 4095, 0 or 1
    data = words_3(*(word for t in times for word in at_3(t % 2**24, 3)))
    assert read(tmp_path / "a.raw", data)["t"].tolist() == times


def test_evt3_times_without_events_delay_nothing(tmp_path: Path) -> None:
    data = words_3(*at_3(5000, 1), 0x6000 | 920, 0x6000 | 910, 0x2002)
    assert read(tmp_path / "a.raw", data)["t"].tolist() == [5000, 4096 + 910]


def test_evt3_rows_read_out_of_order_are_sorted_and_a_jump_back_is_refused(tmp_path: Path) -> None:
    data = words_3(*at_3(9000, 1), *at_3(8990, 2), *at_3(9001, 3))
    assert read(tmp_path / "a.raw", data)[["x", "t"]].tolist() == [(2, 8990), (1, 9000), (3, 9001)]
    with pytest.raises(events.UserError, match="times go backwards"):
        read(tmp_path / "a.raw", words_3(*at_3(90_000, 1), *at_3(8990, 2)))


def test_evt3_events_before_the_first_time_are_left_out(tmp_path: Path) -> None:
    data = words_3(0x0007, 0x2001, 0x6005, 0x2002, 0x3003, 0x4FFF, *at_3(77, 4), 0x40FF)
    # The base of vectors moves on, also where a vector has no time.
    expected = [(4, 7, 77, True), *((15 + i, 7, 77, False) for i in range(8))]
    assert read(tmp_path / "a.raw", data).tolist() == expected


@given(st.lists(st.integers(0, 2**16 - 1), max_size=200))
def test_evt3_of_any_words(tmp_path_factory: pytest.TempPathFactory, words: list[int]) -> None:
    data = words_3(*words)
    expected = np.array(evt3_by_loops(data), dtype=EVENTS)
    path = tmp_path_factory.getbasetemp() / "any.raw"
    back = (np.maximum.accumulate(expected["t"]) - expected["t"]).max(initial=0)
    inside = (expected["x"] < 1280).all() and (expected["y"] < 720).all()
    if inside and back < 4096:
        expected = expected[np.argsort(expected["t"], kind="stable")]
        assert np.array_equal(read(path, data), expected)
    else:
        with pytest.raises(events.UserError, match=r"any\.raw: "):
            read(path, data)


def evt2_words(times: list[int]) -> bytes:
    """EVT 2: a TIME_HIGH of 28 bits and an event with the 6 low bits, for each time."""
    rows = [
        (0x80000000 | t >> 6 & 0xFFFFFFF, (i % 2) << 28 | (t & 63) << 22 | i << 11 | 9)
        for i, t in enumerate(times)
    ]
    return np.array(rows, "<u4").tobytes()


@pytest.mark.parametrize("first", [0, 63, 64, 2**33, 2**34 - 65, 2**34 - 64, 2**34 - 1])
def test_evt2_begins_anywhere_on_its_clock(tmp_path: Path, first: int) -> None:
    times = [first + step for step in (0, 1, 64, 70_000, 2**32, 2**33 + 9, 2**34 - 10, 2**34 + 65)]
    found = read(tmp_path / "a.raw", HEADER_2 + evt2_words([t % 2**34 for t in times]))
    assert found.tolist() == [(i, 9, t, i % 2 == 1) for i, t in enumerate(times)]
    assert read_events(tmp_path / "a.raw")[1].sensor_size == (640, 480, 2)


def test_evt2_passes_over_other_words_and_events_without_a_time(tmp_path: Path) -> None:
    trigger, monitor, early = 0xA0000001, 0xE0000000, 1 << 28 | 5 << 11
    data = np.array([early, monitor], "<u4").tobytes() + evt2_words([700])
    data += np.array([trigger, 1 << 28 | 63 << 22 | 2 << 11], "<u4").tobytes()
    found = read(tmp_path / "a.raw", HEADER_2 + data)
    assert found.tolist() == [(0, 9, 700, False), (2, 0, 703, True)]


@pytest.mark.parametrize("order", ["little", "legacy"])
def test_evt21_by_hand(tmp_path: Path, order: str) -> None:
    def high(t: int) -> int:
        return 8 << 60 | (t >> 6 & 0xFFFFFFF) << 32

    def vector(t: int, x: int, y: int, on: int, mask: int) -> int:
        return on << 60 | (t & 63) << 54 | x << 43 | y << 32 | mask

    first, second = 2**34 - 3, 2**34 + 70  # the clock wraps between the two
    words = np.array([
        vector(1, 0, 0, 1, 1), high(first), vector(first, 32, 5, 1, 0x80000005),
        high(second), vector(second, 64, 6, 0, 0b10),
    ], "<u8")  # fmt: skip
    if order == "legacy":
        words = words.view("<u4").reshape(-1, 2)[:, ::-1].copy().view("<u8")
    found = read(tmp_path / "a.raw", header_21(order) + words.tobytes())
    expected = [(x, 5, first, True) for x in (32, 34, 63)] + [(65, 6, second, False)]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    "header,says",
    [
        (b"% date today\n", "no line '% evt' or '% format EVT'"),
        (b"% evt 4.0\n", "EVT version 4.0, expected 2, 2.1 or 3"),
        (b"% format EVT3;endianness=big\n", "words are big-endian, expected little-endian"),
        (b"% evt 3.0\n% geometry 99999x2\n", "a sensor of 99999x2 pixels"),
        (b"% evt 3.0\n% plugin_name with no en", "cut short: its header has no end"),
    ],
)
def test_a_header_that_says_otherwise_is_refused(tmp_path: Path, header: bytes, says: str) -> None:
    with pytest.raises(events.UserError, match=rf"a\.raw: .*{says}"):
        read(tmp_path / "a.raw", header + (b"\0" * 8 if header.endswith(b"\n") else b""))


@pytest.mark.parametrize("header,size", [(HEADER_3, 2), (HEADER_2, 4), (header_21("little"), 8)])
def test_a_word_cut_in_two_is_cut_short(tmp_path: Path, header: bytes, size: int) -> None:
    data = header + b"\0" * (3 * size - 1)
    with pytest.raises(events.UserError, match=f"cut short: its last {size - 1} bytes are no"):
        read(tmp_path / "a.raw", data)
    with pytest.raises(events.UserError, match=rf"truncate -s {len(header) + 2 * size} FILE"):
        read(tmp_path / "a.raw", data)
