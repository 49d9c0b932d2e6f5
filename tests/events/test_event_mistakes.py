"""What a user can get wrong: floats where integers belong, and event files written in crumbs."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import events
from events.files.io import EventWriter, read_events
from events.files.metadata import Metadata
from events.generator import EVENTS
from mdft.errors import reason, whole

FRAMES = np.array([100, 200], dtype=np.uint8).reshape(2, 1, 1)
TIMES = np.array([0, 1000])


@pytest.mark.parametrize(
    "name,dtype,says",
    [
        ("t", "<f8", "expected integer µs; seconds\\? multiply by 1e6 and cast"),
        ("t", "<m8[us]", "expected integer µs"),
        ("x", "<f4", "expected integer pixels"),
        ("y", "<f4", "expected integer pixels"),
    ],
)
def test_float_fields_are_refused_and_not_cut(name: str, dtype: str, says: str) -> None:
    kinds: dict[str, Any] = {"x": "<i2", "y": "<i2", "t": "<i8", "p": "?"}
    found = np.zeros(3, np.dtype(list((kinds | {name: dtype}).items())))
    with pytest.raises(events.UserError, match=f"^events: {name} is .*{says}") as caught:
        events.pool(found, (16, 16, 2), seconds=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [2.0, 0.5, math.nan, math.inf, "2", None, np.float64(2), 10**19])
@pytest.mark.parametrize("name", ["seconds", "bins_per_second", "grid", "start_us"])
def test_counts_and_times_of_pool_are_integers(name: str, wrong: Any) -> None:
    call: dict[str, Any] = {"seconds": 1} | {name: wrong}
    with pytest.raises(
        events.UserError, match=rf"^{name}: found .*, expected an integer"
    ) as caught:
        events.pool(np.zeros(2, EVENTS), (16, 16, 2), **call)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0.5, 700.0, math.nan, math.inf, "700", 10**19])
def test_the_refractory_period_is_an_integer(wrong: Any) -> None:
    for call in (events.Sensor, lambda **k: events.frames_to_events(FRAMES, TIMES, **k)):
        with pytest.raises(
            events.UserError, match=r"^refractory_us: found .*, expected an integer"
        ):
            call(refractory_us=wrong)


def test_sides_of_the_sensor_are_integers() -> None:
    sizes: list[Any] = [(16.0, 16, 2), (16, math.nan, 2), (0, 16, 2)]
    for size in sizes:
        with pytest.raises(events.UserError, match=r"^sensor_size: found"):
            events.pool(np.zeros(2, EVENTS), size, seconds=1)


def test_numpys_integers_are_integers_and_do_not_overflow() -> None:
    found = np.array([(0, 0, 199_999_999, True)], dtype=EVENTS)
    small: Any = np.uint8(200)  # 200·8 bins are 64 in eight bits
    bins = events.pool(found, (16, 16, 2), seconds=small, bins_per_second=np.uint8(8))  # type: ignore[arg-type]
    assert bins.shape == (200, 8, 512) and bins[199, 7, 256] == 16
    few = events.frames_to_events(FRAMES, TIMES, refractory_us=np.int64(300))  # type: ignore[arg-type]
    # Crossings at 289, 577, 866 µs: the second comes 288 µs after the first.
    assert few["t"].tolist() == [289, 866]
    assert whole("n", np.int16(-3)) == -3 and type(whole("n", np.int16(3))) is int


def test_a_librarys_error_becomes_one_line() -> None:
    assert reason(OSError(2, "No such\n file")) == "No such file"
    assert reason(ValueError()) == "ValueError"


class Counted(np.ndarray):
    """An array that counts how often its length is asked for."""

    asked = 0

    def __len__(self) -> int:
        Counted.asked += 1
        return self.shape[0]


def test_appending_small_pieces_costs_each_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "asked", 0)
    pieces = [np.array([(0, 0, t, True)], dtype=EVENTS) for t in range(300)]
    with EventWriter(tmp_path / "a.h5") as writer:
        for piece in pieces:
            writer.append(piece.view(Counted))
        assert writer.count == 300 and Counted.asked <= 4 * 300
        writer.close(Metadata((1, 1, 2), "a.mp4", duration_us=300))
    assert read_events(tmp_path / "a.h5")[0]["t"].tolist() == list(range(300))


def test_a_silent_frame_is_not_kept(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "a.h5") as writer:
        nothing = np.empty(0, dtype=EVENTS)
        gone = weakref.ref(nothing)
        writer.append(nothing)
        del nothing
        assert gone() is None
