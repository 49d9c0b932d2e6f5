"""The datasets work with Tonic's own transforms, slicers, caches and collation."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tonic
import torch
from tonic import transforms
from tonic.collation import PadTensors
from tonic.io import events_struct
from tonic.slicers import SliceByTime

import events
from events.files.io import write_events
from events.files.metadata import Metadata
from mdft.data.rendered import benchmark as rendered
from mdft.data.tonic_datasets import RenderedEvents, VideoEvents
from mdft.data.tonic_transforms import SignedPolarity, ToBins, cache_folder
from mdft.errors import UserError
from tests.events.films import write_film
from tests.events.tonic_small import SMALL, disk_cached, records
from tests.mdft.recognition.small import bin_bytes, write_nmnist


@pytest.fixture(scope="module")
def clips() -> RenderedEvents:
    return RenderedEvents("stage_1_train", SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: a film and an event file of each, one of them a recording's."""
    root = tmp_path / "clips"
    for name in ("walk", "run"):
        (root / name).mkdir(parents=True)
        write_film(root / name / "film.mkv", 12, 10, None, 8000)
    (root / "notes.txt").write_text("not a clip")
    found = records([(x, 3, 10 * x, x % 2) for x in range(60)])
    write_events(root / "walk" / "walked.h5", found, Metadata((64, 48, 2), "walked.mp4"))
    found["t"] += 5_000_000
    recorded = Metadata((64, 48, 2), "run.raw", start_us=5_000_000, duration_us=600)
    write_events(root / "run" / "recorded.npz", found, recorded)
    return root


def test_they_are_tonics_datasets_with_tonics_attributes(
    clips: RenderedEvents, folder: Path
) -> None:
    for dataset in (clips, VideoEvents(folder, size=(64, 48))):
        assert isinstance(dataset, tonic.Dataset)
        assert dataset.dtype == events_struct and dataset.ordering == ("x", "y", "t", "p")
        assert dataset.sensor_size is not None and dataset.sensor_size[2] == 2
        found, target = dataset[0]
        assert found.dtype == events_struct and len(found) > 50
        assert (np.diff(found["t"]) >= 0).all() and found["t"][0] >= 0
        assert type(target) is int and 0 <= target < len(dataset.classes)
        assert len(list(dataset)) == len(dataset) == len(dataset.targets)
        with pytest.raises(IndexError, match="clips"):
            dataset[len(dataset)]
    assert VideoEvents(folder).sensor_size is None


@pytest.mark.parametrize("split", ["stage_1_train", "test_unseen"])
def test_rendered_events_are_the_benchmarks(split: str, tmp_path: Path) -> None:
    """Pooled, they are E_v as the benchmark caches it, clip by clip."""
    benchmark = rendered.build(SMALL, progress=False)
    dataset = RenderedEvents(split, SMALL, transform=ToBins((32, 32, 2), seconds=2))
    indices = benchmark.splits[split]
    assert len(dataset) == len(indices) > 0 and dataset.classes == tuple(benchmark.classes)
    for i in (0, len(dataset) // 2, len(dataset) - 1):
        bins, target = dataset[i]
        row = benchmark.offsets_N1[indices[i]]
        assert np.array_equal(bins, benchmark.events_MKD[row : row + 2])
        assert target == benchmark.labels_N[indices[i]]


def test_video_events_are_the_generators(folder: Path) -> None:
    from events.video.clip import Clip

    dataset = VideoEvents(folder)
    assert dataset.classes == ("run", "walk") and dataset.targets == [0, 0, 1, 1]
    names = [path.name for path in dataset.data]
    assert names == ["film.mkv", "recorded.npz", "film.mkv", "walked.h5"]
    with Clip(folder / "run" / "film.mkv") as clip:
        frames = list(clip)
    planes, times = np.stack([f.plane for f in frames]), np.array([f.time_us for f in frames])
    expected = events.frames_to_events(planes, times, luma="limited")
    assert np.array_equal(dataset[0][0], expected)
    assert dataset[1][0]["t"].tolist() == dataset[3][0]["t"].tolist() == list(range(0, 600, 10))
    scaled = VideoEvents(folder, size=(32, 24))
    halves = planes.reshape(-1, 24, 2, 32, 2).astype(float).mean(axis=(2, 4))
    whole = np.floor(halves + 0.5).astype(np.uint8)
    found, expected = scaled[0][0], events.frames_to_events(whole, times, luma="limited")
    assert abs(len(found) - len(expected)) < 0.02 * len(expected)  # the scaler rounds its own way
    with pytest.raises(UserError, match=r"recorded\.npz: sensor size is \(64, 48\), expected"):
        scaled[1]


def test_the_size_is_that_of_recordings_which_do_not_declare_it(tmp_path: Path) -> None:
    root = write_nmnist(tmp_path) / "NMNIST" / "Train"
    narrow = bin_bytes(*(np.array([n, 2 * n]) for n in (1, 2, 3, 0)))
    (root / "0" / "00000.bin").write_bytes(narrow)
    dataset = VideoEvents(root, size=(34, 34))
    assert dataset[0][0]["x"].tolist() == [1, 2] and dataset[0][0]["t"].tolist() == [0, 3]
    with pytest.raises(UserError, match=r"00001.bin: x runs from .*expected 0 to 9"):
        VideoEvents(root, size=(10, 34))[1]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="split 'train': no such split, expected one of stage_1"):
        RenderedEvents("train", SMALL)
    with pytest.raises(UserError, match="contains no clips"):
        VideoEvents(tmp_path)
    wrong: list[Any] = [(0, 32), (32.5, 32), 32, (32, 32, 2)]
    for size in wrong:
        with pytest.raises(UserError, match=r"^size: found .*, expected \(width, height\)"):
            VideoEvents(tmp_path, size=size)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.ToFrame((32, 32, 2), time_window=100_000, start_time=0, end_time=2_000_000),
        transforms.Compose(
            [
                transforms.CropTime(max=500_000),
                transforms.Downsample(spatial_factor=0.5),
                transforms.RandomFlipLR((16, 16, 2), p=1.0),
                transforms.ToTimesurface((16, 16, 2), dt=1e5, tau=1e5),
            ]
        ),
        transforms.Compose([SignedPolarity(), transforms.ToVoxelGrid((32, 32, 2), n_time_bins=4)]),
        transforms.Compose(
            [transforms.MergePolarities(), transforms.ToFrame((32, 32, 1), n_time_bins=3)]
        ),
        ToBins((32, 32, 2), seconds=2),
    ],
)
def test_tonics_transforms_slicers_caches_and_collation(transform: Any, tmp_path: Path) -> None:
    dataset = RenderedEvents("test_unseen", SMALL, transform=transform)
    plain, target = dataset[0]
    assert np.asarray(plain).any()
    memory = tonic.MemoryCachedDataset(dataset)
    disk = disk_cached(dataset, cache_folder(tmp_path, dataset))
    for cached in (memory, disk, memory, disk):
        again, label = cached[0]
        assert np.array_equal(again, plain) and label == target
    loader = torch.utils.data.DataLoader(disk, batch_size=2, collate_fn=PadTensors())
    batch, labels = next(iter(loader))
    assert batch.shape == (2, *plain.shape) and labels.tolist() == [dataset[i][1] for i in (0, 1)]


def test_raw_events_are_sliced_and_cached(tmp_path: Path) -> None:
    dataset = RenderedEvents("test_unseen", SMALL)
    slicer: Any = SliceByTime(time_window=500_000, start_time=0, end_time=2_000_000)
    sliced = tonic.SlicedDataset(dataset, slicer, metadata_path=str(tmp_path / "slices"))
    assert len(sliced) == 4 * len(dataset)
    parts = [sliced[i][0] for i in range(4)]
    whole = dataset[0][0]
    assert np.array_equal(np.concatenate(parts), whole[whole["t"] < 2_000_000])
    disk = disk_cached(dataset, cache_folder(tmp_path, dataset))
    for _ in range(2):
        kept, target = disk[1]
        assert np.array_equal(kept, dataset[1][0]) and target == dataset[1][1]


def test_our_bins_are_tonics_where_tonic_is_right(clips: RenderedEvents) -> None:
    """Counts of ToFrame with start and end given, pooled here with plain sums."""
    to_frame = transforms.ToFrame(
        (32, 32, 2), time_window=125_000, start_time=0, end_time=2_000_000
    )
    for i in range(0, len(clips), 5):
        found = clips[i][0]
        frames = to_frame(found[found["t"] < 2_000_000]).astype(np.int64)
        cells = frames.reshape(16, 2, 16, 2, 16, 2).sum(axis=(3, 5)).reshape(2, 8, 512)
        bins = ToBins((32, 32, 2), seconds=2)(found)
        assert np.array_equal(bins, np.minimum(16 * cells // 4, 255))


def test_a_cache_folder_is_named_by_all_that_decides(tmp_path: Path, folder: Path) -> None:
    bins = ToBins((32, 32, 2), seconds=2)
    frame = transforms.ToFrame((32, 32, 2), n_time_bins=3)
    different = [
        RenderedEvents("test_unseen", SMALL),
        RenderedEvents("val_unseen", SMALL),
        RenderedEvents("test_unseen", replace(SMALL, seed=1)),
        RenderedEvents("test_unseen", SMALL, sensor=events.Sensor(0.3)),
        RenderedEvents("test_unseen", SMALL, transform=bins),
        RenderedEvents("test_unseen", SMALL, transform=frame),
        RenderedEvents("test_unseen", SMALL, transform=transforms.Compose([frame, bins])),
        RenderedEvents("test_unseen", SMALL, transform=transforms.Compose([bins, frame])),
        RenderedEvents("test_unseen", SMALL, target_transform=bins),
        VideoEvents(folder),
        VideoEvents(folder, size=(64, 48)),
    ]
    names = [cache_folder(tmp_path, dataset) for dataset in different]
    assert len(set(names)) == len(names)
    assert cache_folder(tmp_path, RenderedEvents("test_unseen", SMALL)) == names[0]
    film = folder / "run" / "film.mkv"
    film.touch()
    touched = cache_folder(tmp_path, VideoEvents(folder))
    assert touched != names[-2]
    copy = shutil.copytree(folder, folder.with_name("copy"))
    assert cache_folder(tmp_path, VideoEvents(copy)) != touched
    status = film.stat()
    film.write_bytes(film.read_bytes() + b"\0")
    os.utime(film, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache_folder(tmp_path, VideoEvents(folder)) != touched
    unnamed = RenderedEvents("test_unseen", SMALL, transform=lambda x: x)
    with pytest.raises(UserError, match="define __repr__"):
        cache_folder(tmp_path, unnamed)


def test_every_sample_stands_alone(clips: RenderedEvents) -> None:
    """In any order, and drawn twice, a clip is the same: workers may share the dataset."""
    first = [clips[i][0] for i in range(3)]
    for i, j in itertools.product((2, 0, 1), range(2)):
        assert np.array_equal(clips[i - len(clips) * j][0], first[i])
