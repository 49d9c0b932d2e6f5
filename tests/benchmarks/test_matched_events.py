"""Thresholds that give equal numbers of events, and the clock of what is compared."""

from __future__ import annotations

import time

import pytest

from benchmarks.events import scene
from benchmarks.matched import CLOSE, matching
from benchmarks.processor_time import measure
from events import frames_to_events


def test_a_threshold_that_gives_the_wanted_number_is_found() -> None:
    frames, times = scene(12, 36, 48)

    def count(threshold: float) -> int:
        return len(frames_to_events(frames, times, threshold=threshold))

    wanted = count(0.31)
    found = matching(count, wanted, 0.02, 2.0)
    assert abs(count(found) - wanted) <= CLOSE * wanted
    assert count(0.2) > (1 + 2 * CLOSE) * wanted


def test_a_number_that_no_threshold_gives_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"found 7 events .* expected about 1,000"):
        matching(lambda _: 7, 1000, 0.1, 1.0)


def test_rounds_are_interleaved_and_the_first_is_not_counted() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> None:
        order.append(name)
        end = time.process_time() + (seconds if len(order) > 2 else 0.2)
        while time.process_time() < end:
            pass

    taken = measure({"a": lambda: work("a", 0.005), "b": lambda: work("b", 0.05)}, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert 0.005 <= taken["a"].least <= taken["a"].cpu < 0.05 <= taken["b"].least < 0.2
