"""Compiled loops on threads: every sample once, at the same time, and mistakes are raised."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numba import njit

from mdft.lif import threads as loops
from mdft.lif.threads import over_samples


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Sets torch's threads; every element is worth one."""
    monkeypatch.setattr(loops, "GRAIN", 1)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@njit(nogil=True)
def _count(seen, start, stop):
    for i in range(start, stop):
        seen[i] += i


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("samples", [1, 2, 5, 64])
def test_every_sample_is_taken_once(threads: Callable, number: int, samples: int):
    threads(number)
    seen = np.zeros(samples, np.int64)
    for _ in range(3):
        over_samples(_count, samples, 10**6, seen)
    assert np.array_equal(seen, 3 * np.arange(samples))


def test_parts_run_at_the_same_time(threads: Callable):
    threads(3)
    all_there = threading.Barrier(3, timeout=60)
    over_samples(lambda first, last: all_there.wait(), 3, 10**6)


def test_a_little_work_wakes_nobody(threads: Callable, monkeypatch: pytest.MonkeyPatch):
    threads(4)
    monkeypatch.setattr(loops, "GRAIN", 100)
    calls = []
    over_samples(lambda *part: calls.append(part), 8, 199)
    assert calls == [(0, 8)]
    over_samples(lambda *part: calls.append(part), 8, 200)
    assert sorted(calls[1:]) == [(0, 4), (4, 8)]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_a_part_raises_is_raised_and_the_others_end(threads: Callable, bad: int):
    threads(3)
    done = []

    def kernel(first: int, last: int) -> None:
        if first == bad:
            raise ValueError(f"part {first}")
        done.append(first)

    with pytest.raises(ValueError, match=f"part {bad}"):
        over_samples(kernel, 3, 10**6)
    assert sorted(done) == sorted({0, 1, 2} - {bad})
    over_samples(lambda first, last: done.append(first), 3, 10**6)  # and it works on
    assert len(done) == 5


def test_an_interrupt_reaches_who_called(threads: Callable):
    threads(2)

    def kernel(first: int, last: int) -> None:
        if first == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        over_samples(kernel, 2, 10**6)
