"""A .nir file parsed in this process, for tests of what comes after: a child takes a third of a
second, and its limits are tested where it starts (tests/hardware/graph/test_nir_file.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hardware.graph import child as nir_child
from hardware.graph import file as nir_file
from mdft.isolation import Answer, Child


class _Here(Child):
    """The child's own code, in this process and without limits."""

    def read(self, path: str | Path, *_, **__) -> Answer:
        header, arrays = nir_child.read(str(path))
        return header, {name: np.asanyarray(array) for name, array in arrays.items()}


@contextmanager
def reading_here() -> Iterator[None]:
    """Parse .nir files in this process, without the limits of a child."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nir_file, "Child", _Here)
        yield


@pytest.fixture(autouse=True)
def _nir_files_are_parsed_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """But where a test is marked as one that starts processes."""
    if request.node.get_closest_marker("subprocess"):
        yield
    else:
        with reading_here():
            yield
