"""Words of a backbone: where vectors come from, and widths that a recipe takes over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mdft.config.train import TrainConfig
from mdft.data.video import backbones
from mdft.data.video.class_words import class_vectors, words_name
from mdft.data.video.names import hashed_vector
from mdft.training.command_line import config_of, parse
from tests.mdft.inference.toy_words import TABLE, TOY

SILENT = replace(TOY, language=None)


def test_vectors_come_from_the_file_then_the_backbone_then_the_letters(tmp_path: Path):
    path = tmp_path / "words.npz"
    np.savez(path, words=np.array(["dark loud"]), vectors=np.arange(3.0)[None])
    found, _ = class_vectors(["dark loud"], path, TOY)
    np.testing.assert_array_equal(found, [[0, 1, 2]])
    found, notes = class_vectors(["dark_loud", "bright loud"], None, TOY)
    np.testing.assert_array_equal(found, [TABLE["dark loud"], TABLE["bright loud"]])
    assert notes == ["word vectors: toy, 2 wide"]
    found, _ = class_vectors(["dark loud"], None, SILENT)
    np.testing.assert_array_equal(found, [hashed_vector("dark loud")])
    assert [words_name(path, TOY), words_name(None, TOY), words_name(None, SILENT)] == [
        "words.npz", "toy", "letters",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "widths"),
    [
        ((), (7, 8, 9)),
        (("--model.words", "50"), (7, 8, 50)),
        (("--data.vectors", "glove.txt"), (7, 8, 300)),
    ],
)
def test_a_folder_takes_the_widths_of_its_backbone(monkeypatch, more, widths):
    monkeypatch.setattr(backbones, "make_backbone", lambda config: replace(TOY, widths=(7, 8, 9)))
    words = ["folder", "--data.root", "CLIPS", "--backbone", "light", *more]
    recipe, command = parse(words, TrainConfig, "mdft.train")
    config = config_of(command)
    assert (recipe, config.data.extract.backbone) == ("folder", "light")
    model = config.model
    assert (model.audio_features, model.visual_features, model.words) == widths


def test_other_backbones_keep_the_widths_of_the_recipe():
    _, command = parse(["folder", "--data.root", "CLIPS"], TrainConfig, "mdft.train")
    assert config_of(command).model == command.model
