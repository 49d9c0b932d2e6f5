"""Clips are held against the record of the run that was trained on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mdft.config.data import DataConfig
from mdft.data.dataset import ClipSet, offsets_of
from mdft.data.standardise import standardised, whitened
from mdft.errors import UserError
from mdft.runs.preprocessing import preprocessing_of, read_preprocessing, write_preprocessing
from mdft.runs.same_data import check_same_data
from tests.mdft.small import SOURCE, random_clips

DATA = DataConfig(source=SOURCE)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    write_preprocessing(tmp_path, preprocessing_of(DATA, standardised(random_clips(ragged=True))))
    return tmp_path


def with_splits(clips: ClipSet, **splits: np.ndarray) -> ClipSet:
    return replace(clips, splits={**clips.splits, **splits})


def swapped(clips: ClipSet) -> ClipSet:
    """A class that was tested as unseen has become one that is trained on."""
    train, test = clips.splits["stage_2_train"], clips.splits["test_unseen"]
    moved = clips.labels_N[test] == 11
    return with_splits(
        clips, stage_2_train=np.concatenate([train, test[moved]]), test_unseen=test[~moved]
    )


def without_class_11(clips: ClipSet) -> ClipSet:
    test = clips.splits["test_unseen"]
    return with_splits(clips, test_unseen=test[clips.labels_N[test] != 11])


def renamed(clips: ClipSet, split: str) -> ClipSet:
    names = list(clips.names)
    names[clips.splits[split][0]] = "another"
    return replace(clips, names=names)


def longer(clips: ClipSet) -> ClipSet:
    """The last second of clip 94, a test clip, belongs to clip 95, another one."""
    seconds_N = clips.seconds_N.copy()
    assert seconds_N[94] > 1
    seconds_N[[94, 95]] += (-1, 1)
    return replace(clips, offsets_N1=offsets_of(seconds_N))


CHANGES: dict[str, tuple[Callable[[ClipSet], ClipSet], str]] = {
    "a class more": (
        lambda c: replace(
            c, classes=["aaa", *c.classes], words_CW=np.vstack([c.words_CW[:1], c.words_CW])
        ),
        r"13 classes, expected the 12 in classes\.safetensors \(new: aaa\)",
    ),
    "a class under another name": (
        lambda c: replace(c, classes=["aaa", *c.classes[1:]]),
        r"12 classes, expected the 12 .* \(new: aaa\) \(missing: class00\)",
    ),
    "words": (lambda c: replace(c, words_CW=c.words_CW[::-1]), "other word vectors"),
    "width of words": (
        lambda c: replace(c, words_CW=c.words_CW[:, :7]),
        "word vectors have width 7, expected 300",
    ),
    "a class trained on": (swapped, r"other classes are trained on \(differing: class11\)"),
    "a class not tested": (without_class_11, r"other classes are tested \(differing: class11\)"),
    "features": (
        lambda c: replace(c, audio_MD=2 * c.audio_MD),
        "the audio features of the training clips have another mean or deviation",
    ),
    "width of features": (
        lambda c: replace(c, visual_MD=c.visual_MD[:, :9]),
        "the visual features have width 9, expected 32",
    ),
    "a test clip": (lambda c: renamed(c, "test_unseen"), "the split test_unseen has other clips"),
    "a training clip": (
        lambda c: renamed(c, "stage_1_train"),
        "the split stage_1_train has other clips",
    ),
    "lengths": (longer, "the split test_unseen has other clips"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_data_is_refused_and_named(recorded: Path, name: str):
    change, message = CHANGES[name]
    with pytest.raises(UserError, match=f"no longer that of this run: .*{message}.*; restore"):
        check_same_data(recorded, DATA, standardised(change(random_clips(ragged=True))))


def test_features_that_are_not_standardised_any_more_are_refused(recorded: Path):
    with pytest.raises(UserError, match="audio features are standardised in one of the two only"):
        check_same_data(recorded, DATA, random_clips(ragged=True))


@pytest.mark.parametrize("scaled", [standardised, whitened, lambda clips: clips])
def test_the_very_data_passes(tmp_path: Path, scaled: Callable[[ClipSet], ClipSet]):
    clips = scaled(random_clips(ragged=True))
    write_preprocessing(tmp_path, preprocessing_of(DATA, clips))
    check_same_data(tmp_path, DATA, clips)


def test_neither_rounding_nor_the_order_of_clips_is_another_data_set(recorded: Path):
    clips = random_clips(ragged=True)
    draw = np.random.default_rng(1)
    noise_MD = 1e-5 * draw.normal(size=clips.audio_MD.shape).astype(np.float32)
    clips = replace(
        clips,
        audio_MD=clips.audio_MD + noise_MD,
        words_CW=clips.words_CW * np.float32(1 + 1e-5),
        splits={name: index[::-1] for name, index in clips.splits.items()},
    )
    check_same_data(recorded, DATA, standardised(clips))


def test_runs_of_earlier_code_are_checked_for_what_they_record(tmp_path: Path):
    clips = standardised(random_clips(ragged=True))
    other = renamed(clips, "test_unseen")
    check_same_data(tmp_path, DATA, other)  # no classes.safetensors at all
    found = replace(preprocessing_of(DATA, clips), splits={})
    write_preprocessing(tmp_path, found)
    assert read_preprocessing(tmp_path).splits == {}
    check_same_data(tmp_path, DATA, other)
    with pytest.raises(UserError, match="other classes are trained on"):
        check_same_data(tmp_path, DATA, swapped(clips))
