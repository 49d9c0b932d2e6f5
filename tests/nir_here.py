"""A .nir file parsed in this process, for tests of what comes after: a child takes a third of a
second, and its limits are tested where it starts (tests/hardware/test_nir_file.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hardware.graph import child as nir_child
from hardware.graph import file as nir_file
from mdft.isolation import Answer


class _ReadHere:
    """Stands for `mdft.isolation.Child`: the child's own code, in this process, without limits."""

    def __init__(self, module: str, memory: int) -> None:
        assert module == nir_file.CHILD

    def __enter__(self) -> _ReadHere:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def read(self, path: Path, seconds: float, *, cpu_seconds: float) -> Answer:
        return nir_child.read(str(path))


@contextmanager
def reading_here() -> Iterator[None]:
    """Parse .nir files in this process, without the limits that a child takes upon itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nir_file, "Child", _ReadHere)
        yield


@pytest.fixture(autouse=True)
def _nir_files_are_parsed_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """But where a test is marked as one that starts processes."""
    if request.node.get_closest_marker("subprocess"):
        yield
    else:
        with reading_here():
            yield
