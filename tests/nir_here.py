"""A .nir file parsed in this process, for tests of what comes after: a child takes a third of a
second, and its limits are tested where it starts (tests/hardware/test_nir_file.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from hardware.graph import child as nir_child
from hardware.graph import file as nir_file


def _parse(path: Path, out: Path) -> str | None:
    """What `hardware.nir_file` has its child do, by the child's own code."""
    said = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr(nir_child, "_limit", lambda _: None)  # it would be this process's own
        nir_child.main(path, out, 0.0)
    return said.getvalue().strip() or None


@contextmanager
def reading_here() -> Iterator[None]:
    """Parse .nir files in this process, without the limits that a child takes upon itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nir_file, "_parse", _parse)
        yield


@pytest.fixture(autouse=True)
def _nir_files_are_parsed_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """But where a test is marked as one that starts processes."""
    if request.node.get_closest_marker("subprocess"):
        yield
    else:
        with reading_here():
            yield
