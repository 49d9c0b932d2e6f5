"""Packing, feature events, lengths and standardisation against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import feature_events
from mdft.data import scale, store
from mdft.data.dataset import ClipSet, offsets_of
from mdft.data.feature_bins import feature_bins, group_means
from mdft.data.files.join import one_length
from mdft.data.standardise import (
    averaged_over_clips,
    standardised,
    with_events_as_features,
    with_feature_events,
)
from mdft.errors import UserError
from tests.mdft.small import random_clips

pytestmark = pytest.mark.rounding


def clip_set(seconds: np.ndarray, seed: int = 0) -> tuple[ClipSet, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    n, M = len(seconds), int(seconds.sum())
    audio, visual = rng.normal(3, 2, (M, 3)), np.abs(rng.normal(3, 2, (M, 5)))
    clips = ClipSet(
        audio_MD=audio.astype(np.float32),
        visual_MD=visual.astype(np.float32),
        events_MKD=rng.integers(0, 255, (M, 2, 4), dtype=np.uint8),
        offsets_N1=offsets_of(seconds),
        labels_N=np.arange(n),
        names=[str(i) for i in range(n)],
        classes=[str(i) for i in range(n)],
        words_CW=np.zeros((n, 2), np.float32),
        splits={"stage_1_train": np.arange(0, n, 2)},
    )
    return clips, np.split(clips.audio_MD, np.cumsum(seconds)[:-1])


lengths = st.lists(st.integers(1, 5), min_size=1, max_size=8).map(np.array)


@given(lengths, st.data())
def test_a_batch_holds_its_clips_and_zeros_beyond_them(seconds: np.ndarray, data):
    clips, audio = clip_set(seconds)
    chosen = data.draw(st.lists(st.integers(0, len(seconds) - 1), min_size=1, max_size=6))
    batch = clips.batch(np.array(chosen))
    assert batch.mask_BT.shape == (len(chosen), seconds[chosen].max())
    for row, i in enumerate(chosen):
        T = seconds[i]
        assert np.array_equal(batch.audio_BTD[row, :T].numpy(), audio[i])
        start = clips.offsets_N1[i]
        events = clips.events_MKD[start : start + T].astype(np.float32) / 16
        assert np.array_equal(batch.events_BTKD[row, :T].numpy(), events)
        for values in (batch.audio_BTD, batch.visual_BTD, batch.events_BTKD, batch.mask_BT):
            assert not values[row, T:].any()
        assert batch.mask_BT[row, :T].all() and batch.labels_B[row] == i


@given(lengths)
def test_scaled_batches_have_the_training_clips_mean_and_deviation(seconds: np.ndarray):
    clips, audio = clip_set(seconds)
    seen = np.concatenate(audio[::2]).astype(np.float64)
    batch = standardised(clips).batch(np.arange(len(seconds)))
    expected = (np.concatenate(audio) - seen.mean(0)) / np.maximum(seen.std(0), 1e-3)
    np.testing.assert_allclose(batch.audio_BTD[batch.mask_BT], expected, rtol=1e-5, atol=1e-5)
    assert not batch.audio_BTD[~batch.mask_BT].any()


def test_statistics_do_not_depend_on_the_chunk(monkeypatch):
    """Features of mean 1e4 and deviation 1: sums of squares in float32 would lose them."""
    features = np.random.default_rng(0).normal(1e4, 1, (1000, 3)).astype(np.float32)
    rows = np.arange(0, 1000, 3)
    monkeypatch.setattr(scale, "CHUNK", 7)
    found = scale.measure(features, rows)
    exact = features[rows].astype(np.float64)
    np.testing.assert_allclose(found.mean_D, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.deviation_D, exact.std(axis=0), rtol=1e-12)
    assert abs(found.deviation_D - 1).max() < 0.2


@given(st.integers(1, 40), st.integers(1, 12))
def test_a_channel_is_the_mean_sign_of_its_features(width: int, channels: int):
    signs = np.random.default_rng(width).integers(-1, 2, (3, width)).astype(np.int8)
    found = group_means(signs, channels)
    for d in range(channels):
        members = [i for i in range(width) if i * channels // width == d]
        for t in range(3):
            total = sum(int(signs[t, i]) for i in members)
            expected = np.floor(16 * total / len(members) + 0.5) if members else 0
            assert found[t, d] == expected


@pytest.mark.parametrize("chunk", [1, 30, 1 << 20])
def test_feature_events_clip_by_clip(monkeypatch, chunk: int):
    monkeypatch.setattr("mdft.data.feature_bins._CHUNK", chunk)
    seconds = np.array([3, 1, 4, 3, 2, 4])
    rng = np.random.default_rng(0)
    visual = np.abs(rng.normal(size=(seconds.sum(), 8))).astype(np.float32)
    found = np.concatenate(list(feature_bins(visual, offsets_of(seconds), 0.2, channels=4)))
    clips = np.split(visual, np.cumsum(seconds)[:-1])
    expected = np.concatenate([group_means(feature_events(clip, 0.2), 4) for clip in clips])
    assert found.dtype == np.int8 and np.array_equal(found[:, 0], expected) and expected.any()


def test_events_as_features_step_by_step():
    """Each event bin is a step; averages over a clip are those of its parts."""
    clips = standardised(random_clips(ragged=True))
    wide = with_events_as_features(clips)
    bins, width = clips.events_MKD.shape[1], clips.visual_MD.shape[1]
    assert wide.visual_MD.shape == (len(clips.visual_MD) * bins, width + clips.events_MKD.shape[2])
    for i in range(len(clips)):
        rows, _ = clips.rows(np.array([i]))
        steps, _ = wide.rows(np.array([i]))
        assert len(steps) == len(rows) * bins
        for j, step in enumerate(steps):
            row, k = rows[j // bins], j % bins
            assert np.array_equal(wide.audio_MD[step], clips.audio_MD[row])
            assert np.array_equal(wide.visual_MD[step][:width], clips.visual_MD[row])
            assert np.array_equal(wide.visual_MD[step][width:] * 16, clips.events_MKD[row, k])
            assert np.array_equal(wide.events_MKD[step, 0], clips.events_MKD[row, k])
    rows, _ = wide.rows(wide.splits["stage_1_train"])
    scaled = wide.standardised("visual", wide.visual_MD[rows]).astype(np.float64)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    assert not with_events_as_features(random_clips(ragged=True)).scales


def test_averages_over_clips_by_loop():
    clips = standardised(random_clips(ragged=True))
    short = averaged_over_clips(with_events_as_features(clips))
    assert (short.seconds_N == 1).all() and short.averaged and not short.events_MKD.any()
    for i in range(len(clips)):
        rows, _ = clips.rows(np.array([i]))
        events = clips.events_MKD[rows].mean(axis=(0, 1)) / 16
        expected = np.concatenate([clips.visual_MD[rows].astype(np.float64).mean(0), events])
        np.testing.assert_allclose(short.visual_MD[i], expected, rtol=1e-6, atol=1e-7)
    train = short.splits["stage_1_train"]
    scaled = short.standardised("visual", short.visual_MD[train]).astype(np.float64)
    varies = short.visual_MD[train].std(0) > 0.01  # some channels have no event at all
    np.testing.assert_allclose(scaled.std(0)[varies], 1, atol=1e-4)
    assert varies.sum() > 50


def test_feature_events_of_equal_width_are_signs():
    clips, _ = clip_set(np.array([3, 4, 2]))
    of_four = with_feature_events(clips, 0.2)
    assert of_four.events_MKD.shape == (9, 1, 4)
    signs = group_means(feature_events(clips.visual_MD[:3], 0.2), 5)
    assert set(np.unique(signs)) == {-16, 0, 16}


@pytest.mark.parametrize(
    ("audio", "visual", "how", "expected"),
    [
        (3, 3, "pool", ([0, 1, 2], [0, 1, 2])),
        (3, 4, "pool", ([0, 1, 2], [0, 1, 2])),
        (2, 4, "pool", ([0, 1], [0.5, 2.5])),
        (5, 2, "pool", ([1, 3.5], [0, 1])),
        (1, 4, "pool", ([0], [1.5])),
        (2, 5, "cut", ([0, 1], [0, 1])),
    ],
)
def test_unequal_lengths(audio: int, visual: int, how: str, expected):
    """By hand: vector i of 5 goes to stretch i·2 // 5 = 0, 0, 0, 1, 1."""
    sequences = [np.arange(n, dtype=np.float32)[:, None] for n in (audio, visual)]
    found = one_length(sequences[0], sequences[1], how)
    assert [f[:, 0].tolist() for f in found] == [list(e) for e in expected]
    assert all(f.dtype == np.float32 for f in found)


def test_a_store_returns_what_was_written_in_pieces(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    pieces = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((1, 3), np.float32)]
    with store.create(path) as file:
        file.metadata["a"] = "b"
        mapped = file.write("rows", pieces)
        assert np.array_equal(mapped, np.concatenate(pieces))
        file.write("odd", [np.arange(3, dtype=np.uint8)])
        file.write("ids", [np.arange(4)])
        assert not path.exists()
    tensors, metadata = store.read(path)
    assert metadata["a"] == "b" and np.array_equal(tensors["rows"], np.concatenate(pieces))
    assert np.array_equal(tensors["ids"], np.arange(4)) and tensors["odd"].tolist() == [0, 1, 2]


def test_a_large_tensor_is_mapped_and_not_read(tmp_path: Path, monkeypatch):
    """Its checksum is not compared; that of a small one is."""
    path = tmp_path / "x.safetensors"
    with store.create(path) as file:
        file.write("large", [np.zeros(100, np.float32)])
        file.write("small", [np.zeros(10, np.float32)])
    content = bytearray(path.read_bytes())
    monkeypatch.setattr(store, "VERIFIED", 200)
    content[16384] = 1
    path.write_bytes(content)
    store.read(path)
    content[-1] = 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="small differs from its checksum"):
        store.read(path)


def test_what_a_killed_writer_left_is_removed_and_one_at_work_is_not(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    dead, other = tmp_path / ".x.99999999.tmp.safetensors", tmp_path / ".y.1.tmp.safetensors"
    dead.write_bytes(b"half")
    other.write_bytes(b"of another file")
    with store.create(path) as first:
        assert not dead.exists() and other.exists()
        first.write("b", [np.zeros(3)])
        first.path.rename(dead)  # as if of another process: the lock is the file's
        with store.create(path) as second:
            second.write("a", [np.zeros(3)])
        assert dead.exists()
        dead.rename(first.path)
        first.write("a", [np.ones(3)])
    assert store.read(path)[0]["a"].tolist() == [1, 1, 1]
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    with store.create(path) as file:
        file.write("a", [np.zeros(3)])
    before = path.read_bytes()
    with pytest.raises(OSError, match="full"), store.create(path) as file:
        file.write("a", [np.ones(3)])
        raise OSError("the disk is full")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
