"""Fixtures that every area shares."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest
import torch

from events.errors import UserError
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


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, splits and recordings that are never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MDFT_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder} (set MDFT_SHARED_DATA)")
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
            if marker in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))
