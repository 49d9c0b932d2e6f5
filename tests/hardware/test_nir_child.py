"""The process that parses a .nir file: what it says, what it writes, and its limits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardware.graph import child as nir_child
from hardware.graph.structure import read_structure
from mdft.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The limits that the child would take upon itself; this process takes none."""
    taken: list[float] = []
    monkeypatch.setattr(nir_child, "_limit", taken.append)
    return taken


def test_it_writes_the_arrays_and_says_nothing(good: Path, tmp_path: Path, limits, capsys):
    nir_child.main(good, tmp_path / "out.npz", 1.5)
    expected = read_structure(good)
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
    assert limits == [1.5] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (UserError("a is b, expected c"), "a is b, expected c\n"),
        (MemoryError(), "needs more than 2 GiB of memory\n"),
        (OSError("bad superblock"), "not a readable .nir file (bad superblock)\n"),
        (RuntimeError(), "not a readable .nir file (RuntimeError)\n"),
    ],
)
def test_each_refusal_is_one_line(tmp_path: Path, limits, monkeypatch, capsys, raised, line):
    def refuse(path: Path) -> dict:
        raise raised

    monkeypatch.setattr(nir_child, "read_structure", refuse)
    nir_child.main(tmp_path / "g.nir", tmp_path / "out.npz", 0.1)
    assert capsys.readouterr().out == line
    assert limits == [0.1] and not (tmp_path / "out.npz").exists()


@pytest.mark.subprocess
def test_its_limits_are_memory_time_and_no_core_file():
    code = (
        "import resource, signal; from hardware.graph.child import _limit; _limit(50.0)\n"
        "print(*resource.getrlimit(resource.RLIMIT_AS), *resource.getrlimit(resource.RLIMIT_CORE))"
        "\nprint(*signal.getitimer(signal.ITIMER_PROF))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sizes, timer = done.stdout.splitlines()
    assert sizes == f"{2 << 30} {2 << 30} 0 0"
    left, again = map(float, timer.split())
    assert 40 < left < 50.5 and again == 0  # counted in ticks


def test_without_limits_the_parents_remain(monkeypatch: pytest.MonkeyPatch):
    """As on Windows."""
    monkeypatch.setitem(sys.modules, "resource", None)
    nir_child._limit(1e6)

    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
