"""Loops on torch's threads: every sample once, mistakes said, and what there is without OpenMP."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numba import njit

from mdft.lif import openmp
from mdft.lif.openmp import over_samples

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["openmp", "pool"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Sets torch's threads; of torch's OpenMP, or of the pool where there is none."""
    if request.param == "pool":
        monkeypatch.setattr(openmp, "_openmp", lambda: None)
    elif openmp._openmp() is None:
        pytest.skip("torch's OpenMP is not GNU's: the pool runs the loops here")
    monkeypatch.setattr(openmp, "GRAIN", 1)
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
    monkeypatch.setattr(openmp, "GRAIN", 100)
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


def test_what_is_lost_on_the_way_into_a_part_is_an_interrupt():
    """As from Python 3.11 on, where a signal can be handled before a part's first line."""
    library = SimpleNamespace(
        GOMP_parallel=lambda work, data, threads, flags: work(None),  # the second thread's is lost
        omp_get_thread_num=lambda: 0,
        omp_get_num_threads=lambda: 2,
    )
    done = []
    with pytest.raises(KeyboardInterrupt):
        openmp._on_openmp(cast(Any, library), done.append, 2)
    assert done == [0]


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux alone")
@pytest.mark.subprocess
def test_it_is_torchs_own_and_no_second_one():
    """Two would be two sets of threads, each of which waits by keeping a core busy."""
    code = (
        "import re, torch\n"
        "from mdft.lif import openmp\n"
        "torch.set_num_threads(2); torch.randn(512, 512).mm(torch.randn(512, 512))\n"
        "openmp.over_samples(lambda first, last: None, 2, 10**9)\n"
        "assert openmp._openmp() is not None\n"
        "maps = open('/proc/self/maps').read()\n"
        r"assert len(set(re.findall(r'/lib[gi]?omp[^/\s]*', maps))) == 1, maps"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
