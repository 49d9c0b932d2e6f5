"""The growth benchmark: exponents of known laws, processes of their own, and its tables."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.growth import Options, exponent, main, scans
from benchmarks.points import Point, _most_memory, isolated
from benchmarks.synthetic import Shape

SIZES = [2, 4, 8, 16, 32]


@pytest.mark.parametrize("power", [0.0, 1.0, 1.7, 2.0])
def test_the_exponent_of_a_power_law(power: float):
    assert exponent(SIZES, [3 * size**power for size in SIZES]) == pytest.approx(power, abs=1e-12)


def test_the_exponent_is_of_the_upper_half():
    costs = [50.0, 7.0, *(size**2 for size in SIZES[2:])]
    assert exponent(SIZES, costs) == pytest.approx(2)
    assert exponent(SIZES[:3], [9.0, 4, 8]) == pytest.approx(1)


def megabytes_held(point: Point) -> float:
    before = _most_memory()
    held = np.ones(point.batch * 2**17)  # so many MiB
    return (_most_memory() - before) / 2**20 + 0 * held[0]


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_memory_of_a_process_is_its_own():
    points = [Point(Shape(), batch=size) for size in (64, 16, 32)]
    assert isolated(megabytes_held, points) == pytest.approx([64, 16, 32], abs=2)


def test_each_thing_doubles_at_least_four_times():
    found = {scan.name: list(scan.points) for scan in scans(Options())}
    assert list(found) == ["seconds", "batch", "width", "test", "classes"]
    for name, sizes in found.items():
        assert len(sizes) >= 5, name
        assert all(b == 2 * a for a, b in pairwise(sizes)), name
    for scan in scans(Options()):
        for size, point in scan.points.items():
            assert size in (point.batch, getattr(point.shape, scan.name, None))


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_quick_tables_have_every_size_and_an_exponent(capsys: pytest.CaptureFixture[str]):
    main(Options(quick=True))
    out = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in out.splitlines()
        if line.startswith("│")
    ]
    sizes = [row[0] for row in rows if row[0] != "exponent"]
    assert sizes == [str(size) for scan in scans(Options(quick=True)) for size in scan.points]
    assert [row[0] for row in rows].count("exponent") == 5
    assert all(float(row[1]) > 0 for row in rows if row[0] != "exponent")
