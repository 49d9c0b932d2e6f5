"""The numbers of a probe: every real dtype gives the result of float64, without a warning."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.fixed_point.quantise import check_grid, grid_of, input_grids, nearest_grid
from hardware.graph.graph import lower
from hardware.graph.network import as_floats
from hardware.reference_float import reference_float
from hardware.run import main
from hardware.simulation import simulate
from mdft.errors import UserError
from tests.hardware.nets import DT, lif

WHOLE = np.random.default_rng(0).integers(0, 3, (2, 20, 6))
PARTS = np.random.default_rng(1).random((2, 20, 6)).astype(np.float16)
INPUTS: dict[str, np.ndarray] = {
    "float16": PARTS,
    "float16 whole": WHOLE.astype(np.float16),
    "float16 at its limit": np.where(WHOLE == 2, np.float16(65504), PARTS).astype(np.float16),
    "float16 subnormal": (WHOLE * 2.0**-24).astype(np.float16),
    "float32": PARTS.astype(np.float32),
    "float32 big-endian": PARTS.astype(">f4"),
    "float64 big-endian": PARTS.astype(">f8"),
    "long double": PARTS.astype(np.longdouble),
    "int8": WHOLE.astype(np.int8),
    "uint8": (WHOLE * 100).astype(np.uint8),
    "int16 big-endian": WHOLE.astype(">i2"),
    "int64 negative": -WHOLE,
    "uint64": WHOLE.astype(np.uint64),
    "bool": WHOLE > 0,
    "Fortran order": np.asfortranarray(WHOLE),
    "all zero": np.zeros((2, 20, 6), np.float16),
    "subnormal": np.full((2, 20, 6), 5e-324),
    "float32 subnormal": np.full((2, 20, 6), 1e-45, np.float32),
    "large": np.full((2, 20, 6), 1e30),
}
#: Inputs whose unit is too far from the threshold for integers.
BEYOND = ("float16 at its limit", "float16 subnormal", "float32 subnormal", "large")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    weight = np.random.default_rng(2).integers(-8, 9, (5, 6)) / np.float32(8)
    graph = nir.NIRGraph.from_list(nir.Linear(weight.astype(np.float32)), lif(5))
    nir.write(tmp_path / "g.nir", graph)
    return tmp_path / "g.nir"


def save(graph: Path, **arrays: np.ndarray) -> str:
    path = graph.with_name("probe.npz")
    np.savez(path, **{f"p.{key}": x for key, x in arrays.items()})  # type: ignore[arg-type]
    return str(path)


def result(graph: Path, capsys: pytest.CaptureFixture[str], x: np.ndarray, backend: str):
    """Exit status, the line on stderr, and the result but for the digest of the probe."""
    out = graph.with_name("out.json")
    out.write_text("{}")
    words = [str(graph), save(graph, **{"in.input": x}), "--backend", backend, "--json", str(out)]
    status = main(words)
    found = json.loads(out.read_text())
    found.pop("probe_sha256", None)
    return status, capsys.readouterr().err, found


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("backend", ["reference_float", "reference_int"])
def test_a_dtype_changes_nothing(
    graph: Path, capsys: pytest.CaptureFixture[str], kind: str, backend: str
):
    """Warnings are errors in the tests, NumPy's of an overflow among them."""
    x = INPUTS[kind]
    found = result(graph, capsys, x, backend)
    assert found == result(graph, capsys, x.astype(np.float64), backend)
    status, line, _ = found
    if kind in BEYOND and backend == "reference_int":
        assert status == 2 and "expected 1 to 131071 (17 bits)" in line
    else:
        assert status == 0 and not line


@pytest.mark.lava
@pytest.mark.parametrize("kind", ["float16", "float32 big-endian", "bool", "Fortran order"])
def test_a_dtype_changes_nothing_in_lava(
    graph: Path, capsys: pytest.CaptureFixture[str], kind: str
):
    x = INPUTS[kind]
    for backend in ("lava_float", "lava_fixed"):
        found = result(graph, capsys, x, backend)
        assert found == result(graph, capsys, x.astype(np.float64), backend)
        assert found[0] == 0


@pytest.mark.parametrize("kind", INPUTS)
def test_a_dtype_changes_nothing_from_python(graph: Path, kind: str):
    network = lower(nir.read(graph), DT)
    x = INPUTS[kind]
    found = simulate(network, x)
    expected = simulate(network, x.astype(np.float64))
    np.testing.assert_array_equal(found.membranes["lif"], expected.membranes["lif"])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((1, 2, 6), np.nan, np.float16), "holds NaN or infinite values"),
        (np.full((1, 2, 6), np.inf), "holds NaN or infinite values"),
        (np.full((1, 2, 6), np.longdouble("1e4000")), "holds NaN or infinite values"),
        (np.full((1, 2, 6), 1e31), "reaches 1e+31, expected at most 1e+30"),
        (np.ones((1, 2, 6), complex), "found complex128[1, 2, 6], expected real numbers"),
        (np.full((1, 2, 6), "1"), "expected real numbers"),
        (np.full((1, 2, 6), np.datetime64("2026-01-01")), "expected real numbers"),
        (np.full((1, 2, 6), 1.0, object), "is an array of Python objects, expected real numbers"),
    ],
)
def test_what_is_no_number_is_refused(
    graph: Path, capsys: pytest.CaptureFixture[str], x: np.ndarray, words: str
):
    assert main([str(graph), save(graph, **{"in.input": x}), "--backend", "reference_int"]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and words in text, text


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e31])
def test_a_membrane_that_differs_from_nothing_is_refused(
    graph: Path, capsys: pytest.CaptureFixture[str], value: float
):
    """NaN − v > tolerance is false: without a check every membrane would agree with NaN."""
    x = WHOLE.astype(float)
    found = reference_float(lower(nir.read(graph), DT), {"input": x})
    spikes, membrane = found.spikes["lif"], found.membranes["lif"].copy()
    given = {"in.input": x, "spikes.lif": spikes, "spikes.out": spikes}
    flags = ["--backend", "reference_float"]
    assert main([str(graph), save(graph, **given, **{"membrane.lif": membrane}), *flags]) == 0
    membrane[0, 0, 0] = value
    capsys.readouterr()
    assert main([str(graph), save(graph, **given, **{"membrane.lif": membrane}), *flags]) == 2
    assert "membrane.lif holds NaN or values above 1e+30" in capsys.readouterr().err


def test_spikes_of_any_dtype_are_compared(graph: Path, capsys: pytest.CaptureFixture[str]):
    x = WHOLE.astype(float)
    found = reference_float(lower(nir.read(graph), DT), {"input": x})
    for dtype in (np.float16, ">f4", bool, np.int64):
        spikes = found.spikes["lif"].astype(dtype)
        membrane = found.membranes["lif"].astype(">f4")
        arrays = {"in.input": x, "spikes.lif": spikes, "spikes.out": spikes}
        probe = save(graph, **arrays, **{"membrane.lif": membrane})
        assert main([str(graph), probe, "--backend", "reference_float"]) == 0
        assert "0 of 200 spikes differ from probe" in capsys.readouterr().out


def test_floats_are_kept_or_widened():
    for dtype, expected in {
        np.float16: "=f8",
        ">f4": "=f8",
        np.float32: "=f4",
        ">f8": "=f8",
        np.longdouble: "=f8",
        np.int8: "=f8",
        bool: "=f8",
    }.items():
        found = as_floats(np.ones(2, dtype))
        assert found.dtype == np.dtype(expected) and found.dtype.isnative


def test_grids_of_tiny_values():
    """Below 2**-1050 products with 2**-24 are 0, which lies on every grid."""
    tiny = np.array([5e-324, 0.0])
    assert grid_of(tiny, 127) is None
    assert nearest_grid(tiny, 127) == 1.0
    assert input_grids({"x": tiny}) == {"x": 1.0}
    assert nearest_grid(np.array([1.27, 0.1]), 127) == 2.0**-6


@pytest.mark.parametrize("grid", [2.0**-101, 2.0**101, 0.0, -1.0, np.nan, np.inf, 5e-324, 3.0])
def test_a_grid_is_a_power_of_two_within_reason(grid: float):
    check_grid("g", 2.0**-100)
    check_grid("g", 2.0**100)
    with pytest.raises(UserError, match=r"g is .*, expected a power of two"):
        check_grid("g", grid)


def test_products_that_overflow_are_refused():
    """Twelve matrices of 1e30 before a LIF, and twelve integrators of as much, one by one."""
    one = np.ones(2)
    weights = [nir.Linear(np.full((2, 2), 1e30)) for _ in range(12)]
    with pytest.raises(UserError, match=r"^lif: products of its weights and inputs exceed 1e\+200"):
        lower(nir.NIRGraph.from_list(*weights, lif(2)))
    scales = [nir.Scale(np.full(2, 1e30)) for _ in range(12)]
    with pytest.raises(UserError, match=r"^lif: products of its weights"):
        lower(nir.NIRGraph.from_list(*scales, lif(2)))
    pairs = [node for w in weights for node in (w, nir.I(one / DT))]
    network = lower(nir.NIRGraph.from_list(*pairs))
    with pytest.raises(UserError, match=r"^i_6: products of its weights and inputs exceed"):
        reference_float(network, {"input": np.ones((1, 3, 2))})
