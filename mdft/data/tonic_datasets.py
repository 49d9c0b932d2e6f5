"""Tonic datasets: events of the embedded benchmark's clips, and of a folder of videos.

Both are `tonic.Dataset`s: transforms, slicers, caches and collation of Tonic work on them. Events
are structured arrays of `tonic.io.events_struct`, sorted, t in µs from the clip's first frame.
Targets are integers, indices into `classes`, because Tonic's `PadTensors` cannot collate vectors.

`mdft.data.tonic_transforms` replaces Tonic transforms that have known defects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tonic
from numpy.typing import NDArray
from PIL import Image

from events import EVENTS, Sensor, advance, rgb_to_luma
from events.files.io import is_event_file, read_events
from events.listing import is_clip, list_files
from events.response import convention
from events.video.clip import Clip
from mdft.config.rendered import RenderedConfig
from mdft.data.cache import stamps_of
from mdft.data.rendered.content import content_of
from mdft.errors import UserError

Transform = Callable[[Any], Any]
Both = Callable[[Any, Any], tuple[Any, Any]]


class _Events(tonic.Dataset):
    """Base class of both datasets: transforms, and the type of a sample."""

    sensor_size: tuple[int, int, int] | None = None
    dtype = EVENTS
    ordering = EVENTS.names
    classes: tuple[str, ...] = ()

    def __init__(
        self,
        sensor: Sensor | None,
        transform: Transform | None,
        target_transform: Transform | None,
        transforms: Both | None,
    ) -> None:
        super().__init__(
            save_to=".",  # nothing is downloaded
            transform=transform,
            target_transform=target_transform,
            transforms=transforms,
        )
        self.sensor = sensor or Sensor()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return (events, class index), transformed."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index}: this dataset has {len(self)} clips")
        index %= len(self)
        return self._transformed(self.events(index), self.targets[index])

    def events(self, index: int) -> NDArray[np.void]:
        """Return the events of clip `index`, (n,) of `events.EVENTS`, without transforms."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yield all samples, in order."""
        return (self[i] for i in range(len(self)))

    def _transformed(self, events: NDArray[np.void], target: int) -> tuple[Any, Any]:
        sample, label = events, target
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            label = self.target_transform(label)
        if self.transforms is not None:
            sample, label = self.transforms(sample, label)
        return sample, label


class RenderedEvents(_Events):
    """Clips of a rendered benchmark, rendered on access; a function of the config alone.

    Args:
        split: a split of the benchmark: stage_1_train, val_seen, val_unseen, test_seen, …
        config: parameters of the benchmark, an ``OrderConfig`` for the benchmark of order; the
            embedded benchmark if None.
        sensor: settings of the event generator; those of the benchmark if None.
        transform, target_transform, transforms: as in every Tonic dataset.

    Raises:
        UserError: there is no such split.
    """

    def __init__(
        self,
        split: str = "stage_1_train",
        config: RenderedConfig | None = None,
        *,
        sensor: Sensor | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        transforms: Both | None = None,
    ) -> None:
        self.config = config or RenderedConfig()
        self.config.check()
        sensor = sensor or Sensor(threshold=self.config.event_threshold)
        super().__init__(sensor, transform, target_transform, transforms)
        self.split = split
        self._content = content_of(self.config)
        splits = self._content.splits
        if split not in splits:
            raise UserError(f"split {split!r}: no such split, expected one of {', '.join(splits)}")
        self.classes = tuple(kind.name for kind in self._content.classes)
        self.sensor_size = (self.config.size, self.config.size, 2)
        self.data = [int(i) for i in splits[split]]
        self.targets = [i // self.config.counts.clips_per_class for i in self.data]

    def events(self, index: int) -> NDArray[np.void]:
        """Render clip `index` and generate its events."""
        target, count = self.targets[index], self.config.counts.clips_per_class
        clip = self._content.render(target, self.data[index] % count)
        return advance(rgb_to_luma(clip.frames), clip.times_us, None, self.sensor)[0]

    def settings(self) -> dict[str, Any]:
        """All settings that the untransformed samples depend on."""
        return {"split": self.split, "config": asdict(self.config), "sensor": asdict(self.sensor)}


class VideoEvents(_Events):
    """Videos and event files in folders named after their classes: ROOT/CLASS/….

    Events of videos (`events.listing.is_clip`) are generated on access. Event files
    (`events.files.io.is_event_file`: converted videos, or recordings of event cameras, whose times
    are shifted to start at 0) are read.

    Args:
        root: the folder; classes are its subfolders, sorted by name.
        size: (width, height) to which every video is scaled by area averaging; None keeps the
            size of each video, and `sensor_size` is then None, as in Tonic's datasets of varying
            size. Event files must have this size already; it is that of recordings which do not
            declare theirs, such as N-MNIST's.
        sensor: settings of the event generator.
        transform, target_transform, transforms: as in every Tonic dataset.

    Attributes:
        passed_over: the files that are no samples: hidden ones, ones with other endings, and ones
            that are in no subfolder.

    Raises:
        UserError: the folder has no clips, or the size is invalid; on access: a file cannot be
            read.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        size: tuple[int, int] | None = None,
        sensor: Sensor | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        transforms: Both | None = None,
    ) -> None:
        super().__init__(sensor, transform, target_transform, transforms)
        if size is not None and (
            not isinstance(size, tuple)
            or len(size) != 2
            or not all(isinstance(side, int) and side > 0 for side in size)
        ):
            raise UserError(f"size: found {size!r}, expected (width, height) in pixels, or None")
        self.root, self.size = Path(root), size
        if not self.root.is_dir():
            raise UserError(f"{self.root}: no such folder, expected ROOT/CLASS/clip.mp4")
        listing = list_files(self.root, lambda path: _kind(path) is not None)
        found = [path for path in listing.found if path.parent != self.root]
        self.data = found
        self.passed_over = sorted({*listing.passed_over, *listing.found} - {*found})
        if not found:
            raise UserError(
                f"{self.root}: contains no clips, expected ROOT/CLASS/clip.mp4 or event files "
                "(python -m events.convert)"
            )
        names = [path.relative_to(self.root).parts[0] for path in found]
        self.classes = tuple(sorted(set(names)))
        self.targets = [self.classes.index(name) for name in names]
        self.sensor_size = (*size, 2) if size else None

    def events(self, index: int) -> NDArray[np.void]:
        """Read or generate the events of clip `index`."""
        path = self.data[index]
        return (
            self._read(path) if _kind(path) == "events" else generated(path, self.sensor, self.size)
        )

    def _read(self, path: Path) -> NDArray[np.void]:
        events, metadata = read_events(path, self.size)
        if self.size is not None and metadata.sensor_size[:2] != self.size:
            raise UserError(
                f"{path}: sensor size is {metadata.sensor_size[:2]}, expected {self.size}; only "
                "videos can be scaled"
            )
        events["t"] -= metadata.start_us
        return events

    def settings(self) -> dict[str, Any]:
        """All settings that the untransformed samples depend on."""
        files = stamps_of(self.root, self.data)
        return {"files": files, "size": self.size, "sensor": asdict(self.sensor)}


def generated(path: Path, sensor: Sensor, size: tuple[int, int] | None) -> NDArray[np.void]:
    """Generate the events of a video.

    Args:
        path: the video.
        sensor: settings of the event generator; its luma becomes that of the video.
        size: (width, height) to which frames are scaled by area averaging; None keeps their size.

    Returns:
        (n,) events of dtype `events.EVENTS`, sorted, t in µs from the first frame.

    Raises:
        UserError: the video cannot be read.
    """
    parts: list[NDArray[np.void]] = [np.empty(0, EVENTS)]
    state = None
    with Clip(path) as clip:
        sensor = replace(sensor, luma=convention(sensor.luma, limited=clip.limited))
        for frame in clip:
            plane = frame.plane
            if size is not None:
                image = Image.fromarray(plane).resize(size, Image.Resampling.BOX)
                plane = np.asarray(image)
            times = np.array([frame.time_us], dtype=np.int64)
            events, state = advance(plane[None], times, state, sensor)
            parts.append(events)
    return np.concatenate(parts)


def _kind(path: Path) -> str | None:
    if is_clip(path):
        return "video"
    return "events" if is_event_file(path) else None
