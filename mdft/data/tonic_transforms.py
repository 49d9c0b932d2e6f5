"""Replacements for Tonic transforms with known defects, and a cache folder for Tonic.

Defects of Tonic 1.7.0, each covered by a test: `ToFrame` drops the last event, returns another
shape for no events, wraps addresses and counts, and drops unsorted events; `ToVoxelGrid` ignores a
boolean polarity, and its function modifies its input; `Compose` skips its transforms if there are
no events; `DiskCachedDataset` does not notice that the transform has changed.
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

    Unlike `tonic.transforms.ToFrame` it always returns this shape, also for zero events or one;
    counts the last event; accepts events in any order; raises for an event outside the sensor
    instead of wrapping its address; saturates instead of overflowing; and bins start at time 0, not
    at the first event.

    Attributes:
        sensor_size: (width, height, 2).
        seconds: length T in seconds.
        bins_per_second: bins per second, K.
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
    """Apply transforms one after another, also to a clip without events.

    Attributes:
        transforms: the transforms, in order.
    """

    transforms: tuple[Callable[[Any], Any], ...]

    def __call__(self, events: Any) -> Any:
        """Apply all transforms."""
        for transform in self.transforms:
            events = transform(events)
        return events


@dataclass(frozen=True)
class SignedPolarity:
    """Copy events with p as int8, −1 or 1, as `tonic.transforms.ToVoxelGrid` needs them.

    Of p only 1 is ON: 0, −1 and False are OFF.

    With Tonic's own boolean p, ToVoxelGrid counts both polarities as +1; and its function
    `to_voxel_grid_numpy` replaces 0 by −1 in its input array.
    """

    def __call__(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """Return the copy."""
        kinds = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")]
        signed = np.empty(len(events), dtype=np.dtype(kinds))
        for name in ("x", "y", "t"):
            signed[name] = events[name]
        signed["p"] = np.where(events["p"] > 0, 1, -1)
        return signed


def cache_folder(parent: str | Path, dataset: RenderedEvents | VideoEvents) -> str:
    """A folder for `tonic.DiskCachedDataset` that depends on the dataset and its transforms.

    Tonic's cache does not notice that a transform has changed and returns the old samples. Here
    other settings, files or transforms (compared by their repr, which for Tonic's transforms
    contains all parameters) give another folder.
    """
    transforms = (dataset.transform, dataset.target_transform, dataset.transforms)
    text = repr((type(dataset).__name__, dataset.settings(), [_describe(t) for t in transforms]))
    return str(Path(parent) / hashlib.sha256(text.encode()).hexdigest()[:16])


def _describe(transform: Any) -> str:
    """The repr of a transform, without memory addresses.

    Raises:
        UserError: the repr of the transform contains a memory address.
    """
    if isinstance(transform, tonic.transforms.Compose | Chain):
        return repr([type(transform).__name__, *map(_describe, transform.transforms)])
    text = repr(transform)
    if " at 0x" in text:
        raise UserError(
            f"transform {text}: its repr has a memory address, expected its parameters; define "
            "__repr__"
        )
    return text
