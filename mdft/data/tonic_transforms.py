"""Tonic transforms that are right where Tonic's own are not, and a name for its cache.

Known of Tonic 1.7.0, each pinned by a test: `ToFrame` loses the last event, gives another shape
for no events, wraps addresses and counts round, and loses events that are out of order;
`ToVoxelGrid` loses a boolean polarity, and its function writes into its input; `Compose` leaves
out its transforms if there are no events; `DiskCachedDataset` does not notice another transform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tonic
from numpy.typing import NDArray

from events import pool
from mdft.data.tonic_datasets import RenderedEvents, VideoEvents
from mdft.errors import UserError


@dataclass(frozen=True)
class ToBins:
    """Events → E_v, (T, K, 2·grid·grid) uint8: `events.pool` as a Tonic transform.

    Unlike `tonic.transforms.ToFrame` it always gives this shape, also for no events and for one;
    counts the last event; takes events in any order; refuses an event off the sensor instead of
    wrapping it round; saturates instead of overflowing; and bins begin at 0, not at an event.

    Attributes:
        sensor_size: (width, height, 2).
        seconds: T.
        bins_per_second: K.
        grid: cells along each side.
    """

    sensor_size: tuple[int, int, int]
    seconds: int
    bins_per_second: int = 8
    grid: int = 16

    def __call__(self, events: NDArray[np.void]) -> NDArray[np.uint8]:
        """Pool the events of one clip."""
        return pool(
            events,
            self.sensor_size,
            seconds=self.seconds,
            bins_per_second=self.bins_per_second,
            grid=self.grid,
        )


@dataclass(frozen=True)
class Chain:
    """One transform after the other, also on a clip without events.

    Attributes:
        transforms: the links, first one first.
    """

    transforms: tuple[Callable[[Any], Any], ...]

    def __call__(self, events: Any) -> Any:
        """Apply them all."""
        for transform in self.transforms:
            events = transform(events)
        return events


@dataclass(frozen=True)
class SignedPolarity:
    """Copy events with p as int8, −1 or 1, as `tonic.transforms.ToVoxelGrid` needs them.

    Given Tonic's own boolean p, ToVoxelGrid counts both polarities as +1; and the function under
    it, `to_voxel_grid_numpy`, writes −1 for 0 into the array that it is given.
    """

    def __call__(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """Return the copy."""
        kinds = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")]
        signed = np.empty(len(events), dtype=np.dtype(kinds))
        for name in ("x", "y", "t"):
            signed[name] = events[name]
        signed["p"] = np.where(events["p"], 1, -1)
        return signed


def cache_folder(parent: str | Path, dataset: RenderedEvents | VideoEvents) -> str:
    """Name a folder for `tonic.DiskCachedDataset` by what the dataset and its transforms are.

    Tonic's cache does not notice that a transform has changed: it shows the old samples. Other
    settings, files or transforms (by their repr, which Tonic's transforms make of all their
    parameters) have another folder.
    """
    transforms = (dataset.transform, dataset.target_transform, dataset.transforms)
    text = repr((type(dataset).__name__, dataset.settings(), [_describe(t) for t in transforms]))
    return str(Path(parent) / hashlib.sha256(text.encode()).hexdigest()[:16])


def _describe(transform: Any) -> str:
    """Say what a transform is, without addresses in memory.

    Raises:
        UserError: a transform that does not say what it is.
    """
    if isinstance(transform, tonic.transforms.Compose | Chain):
        return repr([type(transform).__name__, *map(_describe, transform.transforms)])
    text = repr(transform)
    if " at 0x" in text:
        raise UserError(f"transform {text}: a cache needs to know what it is; give it a __repr__")
    return text
