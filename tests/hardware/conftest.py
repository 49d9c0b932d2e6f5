"""A small graph on disk."""

from __future__ import annotations

from pathlib import Path

import nir
import pytest

from tests.hardware.graph.test_graph import affine, lif, single
from tests.nir_here import _nir_files_are_parsed_here  # noqa: F401, for every test here


@pytest.fixture
def good(tmp_path: Path) -> Path:
    nir.write(tmp_path / "good.nir", single(a=affine(), n=lif(3)))
    return tmp_path / "good.nir"
