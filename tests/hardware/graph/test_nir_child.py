"""What runs in the process that parses a .nir file; its limits: `tests/mdft/test_isolation.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardware.graph import child as nir_child
from hardware.graph.structure import read_structure
from mdft.errors import UserError


def test_it_gives_the_arrays_and_nothing_else(good: Path):
    header, found = nir_child.read(str(good))
    expected = read_structure(good).arrays()
    assert header == {"notes": []} and set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (UserError("a is b, expected c"), "a is b, expected c"),
        (OSError("bad superblock"), "not a readable .nir file (bad superblock)"),
        (RuntimeError(), "not a readable .nir file (RuntimeError)"),
    ],
)
def test_each_refusal_names_the_file(monkeypatch, raised: Exception, message: str):
    def refuse(path: Path) -> dict:
        raise raised

    monkeypatch.setattr(nir_child, "read_structure", refuse)
    with pytest.raises(UserError) as caught:
        nir_child.read("g.nir")
    assert str(caught.value) == f"g.nir: {message}"


def test_memory_is_for_the_process_to_report(monkeypatch: pytest.MonkeyPatch):
    def fill(path: Path) -> dict:
        raise MemoryError

    monkeypatch.setattr(nir_child, "read_structure", fill)
    with pytest.raises(MemoryError):
        nir_child.read("g.nir")
