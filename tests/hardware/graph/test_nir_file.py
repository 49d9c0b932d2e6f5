"""What the parser's process is given, and what is made of its answers."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hardware.graph import file as nir_file
from hardware.graph.file import read_nir
from mdft.errors import UserError
from mdft.isolation import Child
from tests.hardware.graph.test_graph import affine, lif, single

pytestmark = pytest.mark.subprocess


def answer(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_nir(path)
    head, text = str(caught.value).split(": ", 1)
    assert head == str(path)
    return text


def test_a_graph_comes_back_as_it_was_written(good: Path):
    expected, found = single(a=affine(), n=lif(3)), read_nir(good)
    assert [(str(a), str(b)) for a, b in found.edges] == expected.edges
    assert set(found.nodes) == set(expected.nodes)
    for name, node in expected.nodes.items():
        assert type(found.nodes[name]) is type(node)
        fields = {"in": ("input_type",), "out": ("output_type",), "a": ("weight", "bias")}
        for field in fields.get(name, ("tau", "r", "v_leak", "v_reset", "v_threshold")):
            np.testing.assert_equal(getattr(found.nodes[name], field), getattr(node, field))


@pytest.mark.parametrize(("size", "cpu"), [(1_500_000, 1.35), (20_000_000, 10.6)])
def test_the_child_gets_the_file_and_its_limits(good: Path, monkeypatch, size: int, cpu: float):
    """0.6 s of processor time and one for 2 MB; 20 s, and 15 s for each of those; 2 GiB."""
    with good.open("ab") as file:
        file.truncate(size)
    given = []

    class Recorder(Child):
        def read(self, path, seconds, cpu_seconds=None, **request):
            given.append((self.module, self.memory_bytes, path, seconds, cpu_seconds, request))
            raise UserError("enough")

    monkeypatch.setattr(nir_file, "Child", Recorder)
    with pytest.raises(UserError, match="enough"):
        read_nir(good)
    wait = pytest.approx(20 + 15 * cpu)
    assert given == [("hardware.graph.child", 2 << 30, good, wait, pytest.approx(cpu), {})]


def test_what_nir_refuses_is_one_line(good: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(fields: dict) -> nir.NIRNode:
        raise AssertionError("no\nsuch " + "x" * 300)

    monkeypatch.setattr(nir_file.nir, "dict2NIRNode", refuse)
    assert answer(good) == f"nir refuses it (no such {'x' * 292})"


def test_a_missing_file_is_one_line(tmp_path: Path):
    expected = "expected a .nir file, such as motion_visual.nir of python -m export.to_nir"
    assert answer(tmp_path / "no.nir").endswith(f"(No such file or directory); {expected}")
    assert answer(tmp_path) == f"a folder, pipe or device, {expected}"
