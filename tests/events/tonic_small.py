"""A small benchmark, and short cuts, for tests with Tonic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tonic
from tonic.io import events_struct

from mdft.config.rendered import ClassCounts, RenderedConfig

COUNTS = ClassCounts(
    groups=4, seen_per_group=2, unseen_per_group=2, val_groups=1, test_groups=1, motions=4,
    clips_per_class=4, val_clips=1, test_clips=1,
)  # fmt: skip
SMALL = RenderedConfig(counts=COUNTS, seconds=2, size=32)


def disk_cached(dataset: Any, folder: str | Path) -> Any:
    return tonic.DiskCachedDataset(dataset, cache_path=str(folder))


def records(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array([(x, y, t, bool(p)) for x, y, t, p in rows], dtype=events_struct)
