"""Where Tonic 1.7.0 is wrong, and that we are not.

Each test shows Tonic's answer first; if that changes, the trap may be mended.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tonic import transforms
from tonic.collation import PadTensors
from tonic.functional.to_voxel_grid import to_voxel_grid_numpy
from tonic.io import events_struct
from tonic.slicers import SliceByTime

import events
from mdft.data.tonic_datasets import RenderedEvents
from mdft.data.tonic_transforms import Chain, SignedPolarity, ToBins, cache_folder
from tests.events.tonic_small import SMALL, disk_cached, records


def test_trap_voxel_grids_lose_a_boolean_polarity_and_change_their_input() -> None:
    found = records([(1, 1, 0, 0), (1, 1, 500, 0), (2, 2, 600, 1), (3, 3, 999, 1)])
    voxels = transforms.ToVoxelGrid((4, 4, 2), n_time_bins=2)
    assert voxels(found.copy()).min() >= 0  # two OFF events, and nothing negative
    signed = SignedPolarity()(found)
    before = signed.copy()
    grid = voxels(signed.copy())
    assert abs(grid[..., 1, 1].sum() + 2) < 0.01 and grid[..., 2, 2].sum() > 0.7
    zeros = signed.copy()
    zeros["p"] = found["p"]
    to_voxel_grid_numpy(zeros, (4, 4, 2), n_time_bins=2)
    assert not np.array_equal(zeros["p"], found["p"])  # 0 has become −1 in our own array
    assert np.array_equal(signed, before) and found["p"].tolist() == [False, False, True, True]


@pytest.mark.parametrize("off", [0, -1])
def test_only_1_is_on(off: int) -> None:
    kinds = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i2")])
    found = np.array([(1, 1, 0, 1), (1, 1, 5, off)], dtype=kinds)
    assert SignedPolarity()(found)["p"].tolist() == [1, -1]


def test_trap_bins_begin_at_the_first_event_and_the_last_is_lost() -> None:
    found = records([(0, 0, 300_000, 1), (0, 0, 999_999, 1)])
    frames = transforms.ToFrame((16, 16, 2), time_window=125_000)(found)
    assert frames.shape[0] == 5 and frames.sum() == 1
    bins = ToBins((16, 16, 2), seconds=1)(found)[0]
    assert [int(k) for k in np.flatnonzero(bins.sum(axis=1))] == [2, 7]


@pytest.mark.parametrize("rows", [[(3, 3, 50, 1)], [(3, 3, 50, 1), (4, 4, 50, 0)]])
def test_trap_one_event_or_equal_times_are_lost(rows: list[tuple[int, int, int, int]]) -> None:
    found = records(rows)
    assert transforms.ToFrame((16, 16, 2), n_time_bins=4)(found).sum() == 0
    assert ToBins((16, 16, 2), seconds=1)(found).sum() == 16 * len(rows)


def test_trap_no_events_have_another_shape() -> None:
    none = records([])
    to_frame = transforms.ToFrame((16, 16, 2), time_window=125_000, start_time=0, end_time=10**6)
    assert to_frame(none).shape == (1, 2, 16, 16)
    assert to_frame(records([(0, 0, 0, 1)])).shape == (8, 2, 16, 16)
    assert ToBins((16, 16, 2), seconds=1)(none).shape == (1, 8, 512)


def test_trap_compose_leaves_out_its_transforms_if_there_are_no_events() -> None:
    links = (SignedPolarity(), ToBins((16, 16, 2), seconds=1))
    assert transforms.Compose(links)(records([])).dtype == events_struct
    assert Chain(links)(records([])).shape == (1, 8, 512)
    some = records([(3, 3, 50, 1), (4, 4, 60, 0)])
    assert np.array_equal(Chain(links)(some), transforms.Compose(links)(some))


def test_trap_counts_overflow_sixteen_bits() -> None:
    found = np.zeros(40_000, events_struct)
    found["t"], found["p"] = np.arange(40_000), True
    frames = transforms.ToFrame((1, 1, 2), time_window=50_000, start_time=0, end_time=50_000)(found)
    assert frames.dtype == np.int16 and frames[0, 1, 0, 0] == 40_000 - 65_536
    assert ToBins((1, 1, 2), seconds=1)(found)[0, 0, 256] == 255


def test_trap_negative_addresses_wrap_and_those_off_the_sensor_crash() -> None:
    to_frame = transforms.ToFrame((16, 16, 2), time_window=100, start_time=0, end_time=100)
    wrapped = to_frame(records([(-1, 0, 10, 1), (0, 0, 20, 1)]))
    assert wrapped[0, 1, 0, 15] == 1
    with pytest.raises(IndexError):
        to_frame(records([(16, 0, 10, 1)]))
    for x in (-1, 16):
        with pytest.raises(events.UserError, match=rf"x runs from {x} to {x}, expected 0 to 15"):
            ToBins((16, 16, 2), seconds=1)(records([(x, 0, 10, 1)]))


def test_trap_unsorted_times_lose_events() -> None:
    rng = np.random.default_rng(0)
    found = records([(5, 5, int(t), 1) for t in rng.permutation(100) * 9_000])
    assert transforms.ToFrame((16, 16, 2), n_time_bins=8)(found).sum() < 100
    sorted_ones = np.sort(found, order="t")
    expected = ToBins((16, 16, 2), seconds=1)(sorted_ones)
    assert expected.any() and np.array_equal(ToBins((16, 16, 2), seconds=1)(found), expected)


def test_trap_one_far_stamp_makes_a_huge_array() -> None:
    found = records([(5, 5, 10, 1), (5, 5, 1_000_000_000, 1)])
    slices = SliceByTime(time_window=1_000).get_slice_metadata(found, 0)
    assert len(slices) > 999_000  # frames of an hour; ToFrame would make them all
    assert ToBins((16, 16, 2), seconds=1)(found).sum() == 16


def test_trap_the_disk_cache_does_not_notice_another_transform(tmp_path: Path) -> None:
    def dataset(bins: int) -> RenderedEvents:
        transform = ToBins((32, 32, 2), seconds=2, bins_per_second=bins)
        return RenderedEvents("test_unseen", SMALL, transform=transform)

    trap = str(tmp_path / "trap")
    assert disk_cached(dataset(8), trap)[0][0].shape == (2, 8, 512)
    assert disk_cached(dataset(4), trap)[0][0].shape == (2, 8, 512)
    for bins in (8, 4):
        path = cache_folder(tmp_path, dataset(bins))
        cached = disk_cached(dataset(bins), path)
        assert cached[0][0].shape == (2, bins, 512)


def test_trap_padding_fails_on_vector_targets() -> None:
    clips = RenderedEvents("test_unseen", SMALL)
    frames = [np.ones((n, 2, 4, 4), np.float32) for n in (2, 3)]
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        PadTensors()([(frame, np.ones(300, np.float32)) for frame in frames])
    padded, labels = PadTensors()([(frame, clips[i][1]) for i, frame in enumerate(frames)])
    assert padded.shape == (2, 3, 2, 4, 4) and labels.dtype == torch.int64
