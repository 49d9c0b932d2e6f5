"""Recordings as bins, checked, cached on disk and memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdft.config.recordings import RecordingsConfig
from mdft.data import store
from mdft.data.cache import cache_folder, fingerprint
from mdft.data.recordings.frames import (
    RecordingError,
    checked,
    count,
    pooled_size,
    transformed,
)
from mdft.data.recordings.sources import Part, SensorSizeError, Size, Source, open_source
from mdft.errors import UserError, printable, reason

_FORMAT = 1  # changes with what a cache holds
_PARTS = ("train", "test")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Recordings:
    """The recordings of one split.

    Attributes:
        counts_NSX: (N, bins, polarities, height, width) uint8, the events of each bin and pixel.
        labels_N: the class of each, int64.
        names: the name of each.
    """

    counts_NSX: NDArray[np.uint8]
    labels_N: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels_N)


@dataclass(frozen=True)
class Prepared:
    """Recordings to train with and to test with.

    Attributes:
        train: training recordings.
        test: test recordings.
        classes: names of the classes; labels are indices into it.
        left_out: a line for each recording that cannot be used, with the reason.
        notes: remarks for the user.
    """

    train: Recordings
    test: Recordings
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Polarities, height and width."""
        polarities, height, width = self.train.counts_NSX.shape[2:]
        return polarities, height, width


@dataclass
class _Reading:
    """What is gathered while the recordings are read."""

    labels: dict[str, list[Any]] = field(default_factory=lambda: {p: [] for p in _PARTS})
    names: dict[str, list[str]] = field(default_factory=lambda: {p: [] for p in _PARTS})
    digests: dict[str, tuple[str, str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    late: int = 0


def prepare(dataset: str, config: RecordingsConfig, progress: Progress | None = None) -> Prepared:
    """Read recordings as bins, from the cache if they are there.

    A recording that cannot be read, has no events or events outside the sensor is left out and
    named. The cache depends on the configuration and on path, size and time of every file.

    Args:
        dataset: a dataset class of Tonic, or ``folder``.
        config: where the recordings are, and the bins.
        progress: called with the split, the number of recordings read and their total.

    Raises:
        UserError: recordings have several sensor sizes, unsorted times or no labels; one is in
            both splits; a split has none; or a folder has more parts than Train and Test.
    """
    source = open_source(dataset, config)
    about = {k: v for k, v in asdict(config).items() if k not in ("cache", "root", "download")}
    key = fingerprint(
        {"format": _FORMAT, "dataset": dataset, "config": about, "files": source.files}
    )
    path = cache_folder(config.cache) / f"recordings-{dataset}-{key[:16]}.safetensors"
    if not path.is_file():
        _write(path, dataset, config, source, progress)
    return _read(path, source)


def _write(
    path: Path,
    dataset: str,
    config: RecordingsConfig,
    source: Source,
    progress: Progress | None,
) -> None:
    reading = _Reading()
    with store.create(path) as file:
        for name in _PARTS:
            part: Part = getattr(source, name)
            chunks = _frames(name, part, config, source.polarities, reading, progress)
            first = next(chunks, None)
            if first is None:
                raise UserError(_none(name, dataset, config, reading))
            file.write(f"counts_{name}", _again(first, chunks))
        classes, labels = _classes(reading, dataset)
        for name in _PARTS:
            file.write(f"labels_{name}", [np.array(labels[name], np.int64)])
        text = {
            "classes": classes,
            "names": reading.names,
            "left_out": reading.left_out,
            "late": reading.late,
        }
        file.write("text", [np.frombuffer(json.dumps(text).encode(), np.uint8)])


def _again(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _none(name: str, dataset: str, config: RecordingsConfig, reading: _Reading) -> str:
    text = f"{config.root}: no usable {name} recordings of {dataset}"
    first = f"; the first: {reading.left_out[0]}" if reading.left_out else ""
    return f"{text}, {len(reading.left_out)} left out{first}"


def _frames(
    which: str,
    part: Part,
    config: RecordingsConfig,
    polarities: int,
    reading: _Reading,
    progress: Progress | None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield (1, bins, polarities, height, width) of each usable recording."""
    transforms = config.transforms
    sort = any(t.name == "sort" for t in transforms)
    size: Size | None = None
    for index, name in enumerate(part.names):
        try:
            events, target, sensor = _events(part, index)
            events = checked(name, events, sensor, sort=sort)
            seed = (config.split_seed + index) % 2**32
            digest = hashlib.sha256(_bytes(events)).hexdigest()
            given = transformed(events, transforms, training=which == "train", seed=seed)
            if not len(given):
                raise RecordingError(f"{name}: no events after the transforms")
        except RecordingError as error:
            reading.left_out.append(printable(error))
            continue
        _check_overlap(digest, which, name, reading)
        small = pooled_size(sensor, transforms)
        if size not in (None, small):
            raise SensorSizeError(
                f"{name}: its sensor has {sensor[0]} x {sensor[1]} pixels, the one before has "
                "others, expected one size"
            )
        size = small
        if target is None:
            raise UserError(f"{name}: it has no label, expected the name or number of its class")
        counts, late = count(given, small, polarities, config)
        reading.labels[which].append(target)
        reading.names[which].append(name)
        reading.late += late
        if progress is not None:
            progress(which, index + 1, len(part.names))
        yield counts[None]


def _events(part: Part, index: int) -> tuple[NDArray[np.void], Any, Size]:
    try:
        return part.read(index)
    except SensorSizeError:
        raise
    except Exception as error:  # readers of other projects raise many types for a broken file
        text = reason(error)
        name = part.names[index]
        raise RecordingError(text if text.startswith(name) else f"{name}: {text}") from error


def _bytes(events: NDArray[np.void]) -> bytes:
    return b"".join(
        events[f].astype(np.int64).tobytes() for f in "xytp" if f in (events.dtype.names or ())
    )


def _check_overlap(digest: str, which: str, name: str, reading: _Reading) -> None:
    other, first = reading.digests.setdefault(digest, (which, name))
    if other != which:
        raise UserError(
            f"{name} and {first} hold the same events, but one is a test and one a training "
            "recording; expected them to be distinct, remove one"
        )


def _classes(reading: _Reading, dataset: str) -> tuple[list[str], dict[str, list[int]]]:
    """Names of the classes, and each recording's index among them."""
    plain = {
        part: [x.decode() if isinstance(x, bytes) else str(x) for x in targets]
        for part, targets in reading.labels.items()
    }
    known = sorted(set(plain["train"]), key=_order)
    for label, name in zip(plain["test"], reading.names["test"], strict=True):
        if label not in known:
            raise UserError(
                f"{name}: no training recording has its label {label!r}, expected one of "
                f"{', '.join(known[:12])}"
            )
    if len(known) < 2:
        raise UserError(
            f"{dataset}: all training recordings have the label {known[0]!r}, expected at least "
            "two classes"
        )
    return known, {part: [known.index(x) for x in labels] for part, labels in plain.items()}


def _order(label: str) -> tuple[int, int, str]:
    """Numbers by their value, before names."""
    return (0, int(label), "") if label.isdecimal() else (1, 0, label)


def _read(path: Path, source: Source) -> Prepared:
    arrays, _ = store.read(path)
    try:
        text = json.loads(arrays["text"].tobytes())
        both = [
            Recordings(arrays[f"counts_{p}"], arrays[f"labels_{p}"], tuple(text["names"][p]))
            for p in _PARTS
        ]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a cache of this release ({error}); remove it") from error
    notes = list(source.notes)
    if text["late"]:
        notes.append(f"note: {text['late']:,} events come after the last bin and are not counted")
    classes, left_out = tuple(text["classes"]), tuple(text["left_out"])
    return Prepared(both[0], both[1], classes, left_out, tuple(notes))
