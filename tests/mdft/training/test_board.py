"""What TensorBoard is given."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mdft.data.cells import event_images
from mdft.training.board import Board
from tests.mdft.small import K, random_clips


def logged(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    found.Reload()
    return found


def test_events_are_films_of_unseen_classes(tmp_path: Path):
    clips = random_clips(ragged=True)
    with Board(tmp_path) as board:
        board.show(clips)
    found = logged(tmp_path)
    tags = found.Tags()["images"]
    classes = [clips.classes[c] for c in clips.classes_of("val_unseen")]
    assert [tag.split("/")[1] for tag in tags] == classes and len(classes) == 2
    for tag in tags:
        index = list(clips.names).index(tag.split("/")[2])
        assert index in clips.splits["val_unseen"]
        (image,) = found.Images(tag)
        film = Image.open(io.BytesIO(image.encoded_image_string))
        first, last = clips.offsets_N1[index : index + 2]
        bins = clips.events_MKD[first:last].reshape(-1, 32)
        shown = 0
        for frame in ImageSequence.Iterator(film):
            shown += frame.info["duration"]
            assert frame.size == (128, 128)
        assert shown == len(bins) * 1000 / K  # equal frames are joined
        film.seek(0)
        corner = np.asarray(film.convert("RGB"))[::32, ::32]
        expected = np.round(255 * event_images(bins)[0])
        assert np.abs(corner - expected).max() <= 8  # a palette of 256 colours


def test_colours_of_events_by_hand():
    bins = np.zeros((1, 2 * 4), np.uint8)
    bins[0, 4 + 1] = 16  # ON, top right
    bins[0, 2] = 4  # OFF, bottom left, a quarter of the most
    image = event_images(bins)[0]
    np.testing.assert_array_equal(image[0, 1], [1, 0, 0])
    np.testing.assert_allclose(image[1, 0], [0.75**0.5, 0.75**0.5, 1])
    assert (image[0, 0] == 1).all() and (event_images(bins * 0) == 1).all()


def test_every_group_of_an_epoch_is_logged(tmp_path: Path):
    groups = {
        "loss": {"total": 1.5},
        "val": {"hm": 0.25},
        "firing_rates": {"visual.lif_1": 0.1},
        "thresholds": {"visual": 1.25},
    }
    record = {"stage": "stage_1", "epoch": 3, **groups, "warnings": ["ill"]}
    with Board(tmp_path) as board:
        board(record)
        board({"step": 1, "steps": 2})
        board({"test": {"seen": 0.5, "unseen": 0.25, "hm": 1 / 3, "zsl": 0.75}})
    found = logged(tmp_path)
    assert set(found.Tags()["scalars"]) == {
        "stage_1/loss/total", "stage_1/val/hm", "stage_1/firing_rates/visual.lif_1",
        "stage_1/thresholds/visual", "test/seen", "test/unseen", "test/hm", "test/zsl",
    }  # fmt: skip
    (event,) = found.Scalars("stage_1/thresholds/visual")
    assert (event.step, event.value) == (3, 1.25)
