"""Fixtures that every area shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, splits and recordings that are never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MDFT_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder} (set MDFT_SHARED_DATA)")
    return folder
