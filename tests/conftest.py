"""Fixtures that every area shares."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest
import torch
from filelock import FileLock

from mdft.errors import UserError
from mdft.machine import check_capability

# A shell's background jobs ignore Ctrl-C, and so would every command that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Two noisy cores: a slow example is no failure.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


def pytest_configure() -> None:
    """End in one line where PyTorch would die of an illegal instruction, or warn in some test."""
    try:
        check_capability()
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their number, for archives hold the time: xdist's workers compare names."""
    return f"{len(val)}_bytes" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, splits and recordings that are never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MDFT_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder} (set MDFT_SHARED_DATA)")
    return folder


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """``made_once(name, make)`` is a folder that ``make(folder)`` has filled; not to be changed.

    It is made once a session, by the xdist worker that asks first; the others wait for it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                make(path)
                done.touch()
        return path

    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say why, what this machine cannot run."""
    missing = {}
    if find_spec("lava") is None:
        missing["lava"] = "lava-nc is absent: it needs Python 3.10"
    if not torch.cuda.is_available():
        missing["gpu"] = "no CUDA device"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):  # keywords have names of folders too
                item.add_marker(pytest.mark.skip(reason=reason))
