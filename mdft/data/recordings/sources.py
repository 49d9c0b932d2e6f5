"""Open recordings with their classes: a dataset class of Tonic, or a folder with one a class."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tonic
from numpy.typing import NDArray

from events import Sensor
from events.files.io import has_event_ending, is_event_file, read_events
from events.listing import Listing, is_clip, is_hidden, list_files, name_some
from events.video.clip import Clip
from mdft.config.recordings import FOLDER, TONIC, RecordingsConfig
from mdft.data.cache import stamps_of
from mdft.data.tonic_datasets import generated
from mdft.errors import UserError, printable, reason

Size = tuple[int, int]
#: Reads recording i: its events, their target, and width and height of the sensor.
Reader = Callable[[int], tuple[NDArray[np.void], Any, Size]]
_PARTS = ("train", "test")


class SensorSizeError(UserError):
    """Recordings of several sensor sizes: no fault of one recording alone."""


@dataclass(frozen=True)
class Part:
    """The recordings of one split.

    Attributes:
        names: a name of each, for messages.
        read: reads one, by its index.
    """

    names: Sequence[str]
    read: Reader


@dataclass(frozen=True)
class Source:
    """Recordings to train with and to test with.

    Attributes:
        train: the training recordings.
        test: the test recordings.
        files: path, size and modification time of every file, which identify the data.
        polarities: 2, or 1 for recordings without polarity.
        notes: what of the folder is no recording, for the user.
    """

    train: Part
    test: Part
    files: list[tuple[str, int, int]]
    polarities: int = 2
    notes: tuple[str, ...] = ()


def open_source(dataset: str, config: RecordingsConfig) -> Source:
    """Open a dataset of Tonic by its class's name, or a folder.

    Nothing is downloaded without ``config.download``.

    Raises:
        UserError: there are no recordings, none can be read, they have no labels, or a folder has
            another one beside Train and Test.
    """
    if dataset == FOLDER:
        return _folder(config)
    return _tonic(dataset, config)


def _tonic(name: str, config: RecordingsConfig) -> Source:
    splits = {None: [{}], "train": [{"train": True}, {"train": False}]}
    splits["split"] = [{"split": "train"}, {"split": "test"}]
    found = [_dataset(name, config, **given) for given in splits[TONIC[name]]]
    size = found[0].sensor_size
    polarities = 2 if size is None else int(size[2])
    sensor = config.sensor or (None if size is None else (int(size[0]), int(size[1])))
    if sensor is None:
        raise SensorSizeError(
            f"{name}: its recordings have several sensor sizes, expected one; give the size that "
            "holds all of them, such as --data.sensor 240 180"
        )
    parts = [_tonic_part(dataset, sensor) for dataset in found]
    if len(parts) == 1:
        parts = _divided(parts[0], list(found[0].targets), config)
    folder = Path(found[0].location_on_system)
    listing = list_files(folder)
    files = stamps_of(folder, [*listing.found, *listing.passed_over])
    return Source(parts[0], parts[1], files, polarities)


def _dataset(name: str, config: RecordingsConfig, **given: Any) -> Any:
    """A dataset of Tonic that is in its folder already, or may be downloaded."""
    kind = getattr(tonic.datasets, name)

    def exists(self: Any) -> bool:
        if config.download:
            return bool(kind._check_exists(self))
        # Tonic asks for the archive, too, and for as many files as the whole dataset has.
        folder = Path(self.location_on_system)
        if not any(files for _, _, files in os.walk(folder)):
            raise UserError(
                f"{folder}: no files there, expected Tonic's {name}; give its parent folder by "
                "--data.root, or --data.download"
            )
        return True

    # Tonic names the folder after the class.
    local = type(name, (kind,), {"_check_exists": exists})
    try:
        dataset = local(str(config.root), **given)
        count = len(dataset)
    except UserError:
        raise
    except Exception as error:  # Tonic raises what its readers and the network raise
        raise UserError(
            f"{config.root}: Tonic cannot open {name} there ({printable(reason(error))})"
        ) from error
    if not count:
        which = ", ".join(f"{k}={v}" for k, v in given.items()) or "all"
        raise UserError(
            f"{dataset.location_on_system}: no recordings of {name} ({which}), expected those of "
            f"{inspect.getmodule(kind).__name__}"  # type: ignore[union-attr]
        )
    return dataset


def _tonic_part(dataset: Any, sensor: Size) -> Part:
    paths = [x if isinstance(x, str) else "" for x in dataset.data]
    which = "training" if getattr(dataset, "train", None) else "test"
    split = getattr(dataset, "filename", "") if not paths else which
    names = [
        (paths[i] if i < len(paths) else "") or f"{type(dataset).__name__} {split} recording {i}"
        for i in range(len(dataset))
    ]

    def read(index: int) -> tuple[NDArray[np.void], Any, Size]:
        events, target = dataset[index]
        return events, target, sensor

    return Part(names, read)


def _divided(part: Part, labels: list[Any], config: RecordingsConfig) -> list[Part]:
    """Divide recordings at random into training and test, each class by itself."""
    random = np.random.default_rng(config.split_seed)
    train, test = list[int](), list[int]()
    for label in sorted(set(labels)):
        members = np.flatnonzero([x == label for x in labels])
        shuffled = random.permutation(members)
        count = min(len(members) - 1, max(1, round(config.test_share * len(members))))
        test += shuffled[:count].tolist()
        train += shuffled[count:].tolist()

    def chosen(indices: list[int]) -> Part:
        order = sorted(indices)
        return Part([part.names[i] for i in order], lambda i: part.read(order[i]))

    return [chosen(train), chosen(test)]


def _folder(config: RecordingsConfig) -> Source:
    root = config.root
    if not root.is_dir():
        raise UserError(f"{root}: no such folder, expected --data.root with a subfolder a class")
    listing = list_files(root, lambda path: is_clip(path) or is_event_file(path))
    parts = {path: path.relative_to(root).parts for path in listing.found}
    divided = _has_own_split(root, parts.values())
    depth = 2 if divided else 1
    notes = _notes(listing, depth)
    if not parts:
        raise UserError(
            f"{root}: no recordings, expected CLASS/FILE, of a format that python -m "
            f"events.convert reads{'; ' * bool(notes)}{'; '.join(notes)}"
        )
    for path, words in parts.items():
        if len(words) <= depth:
            raise UserError(
                f"{path}: it has no label, expected it in a subfolder named after its class"
            )
    sensor, measured = (config.sensor, None) if config.sensor else _first_size(listing)

    def read(path: Path) -> tuple[NDArray[np.void], Any, Size]:
        label = parts[path][depth - 1]
        if is_clip(path):
            return generated(path, Sensor(), sensor), label, sensor
        events, metadata = read_events(path, config.sensor, in_order=False)
        found = metadata.sensor_size[:2]
        if found != sensor:
            raise SensorSizeError(
                f"{path}: its sensor has {found[0]} x {found[1]} pixels, "
                f"{measured or '--data.sensor'} has "
                f"{sensor[0]} x {sensor[1]}, expected one size; if the files do not "
                "declare it, give --data.sensor WIDTH HEIGHT"
            )
        return events, label, sensor

    def part(paths: list[Path]) -> Part:
        return Part([str(path) for path in paths], lambda i: read(paths[i]))

    files = stamps_of(root, listing.found)
    if divided:
        both = [part([p for p, w in parts.items() if w[0].lower() == name]) for name in _PARTS]
    else:
        labels = [words[0] for words in parts.values()]
        both = _divided(part(listing.found), labels, config)
    return Source(both[0], both[1], files, 2, tuple(notes))


def _has_own_split(root: Path, parts: Iterable[Sequence[str]]) -> bool:
    """Whether Train and Test are the subfolders with recordings, whose paths' parts are given."""
    tops = {words[0].lower(): words[0] for words in parts if len(words) > 1}
    if not tops.keys() >= {*_PARTS}:
        return False
    if others := sorted(name for key, name in tops.items() if key not in _PARTS):
        both = " and ".join(tops[part] for part in ("train", "test"))
        raise UserError(
            f"{root}: {both} beside {name_some(others)}, expected only Train and Test, or one "
            "subfolder a class; move what is neither to another folder"
        )
    return True


def _notes(listing: Listing, depth: int) -> list[str]:
    """What of a folder is no recording; text files, which may be meant as such, are named."""
    under = [path.relative_to(listing.folder) for path in listing.passed_over]
    texts = [path.as_posix() for path in under if not is_hidden(path) and has_event_ending(path)]
    headless = f"note: no recording, without a header that names t, x, y and p: {name_some(texts)}"
    found = (listing.note(), headless if texts else "", listing.empty_folders(depth))
    return [note for note in found if note]


def _first_size(listing: Listing) -> tuple[Size, Path]:
    """Width and height of the first recording that can be read, and its path.

    Raises:
        UserError: none can be read.
    """
    refusals: list[str] = []
    for path in listing.found:
        try:
            return _size_of(path), path
        except Exception as error:  # of any type, as in prepared: it will be left out there
            refusals.append(printable(reason(error)))
    raise UserError(
        f"{listing.folder}: none of its {len(refusals)} recordings can be read; the first: "
        f"{refusals[0]}"
    )


def _size_of(path: Path) -> Size:
    """Width and height of a recording."""
    if not is_clip(path):
        width, height = read_events(path, in_order=False)[1].sensor_size[:2]
        return width, height
    with Clip(path) as clip:
        for frame in clip:
            height, width = frame.plane.shape
            return width, height
    raise UserError(f"{path}: no frames in it, expected a video")
