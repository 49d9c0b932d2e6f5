"""The threshold in the record of every epoch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mdft.config.model import MotionConfig
from mdft.data.dataset import ClipSet
from mdft.training.trainer import Trainer
from tests.mdft.small import small_config, small_model

pytestmark = pytest.mark.rounding


@pytest.mark.parametrize(
    ("motion", "low", "high"),
    [
        (MotionConfig(threshold="fixed", theta_fixed=1.5), 1.5, 1.5),
        (MotionConfig(theta_min=0.5, theta_max=1.25), 0.5, 1.25),
        (MotionConfig(per_neuron=True, theta_min=0.5, theta_max=1.25), 0.5, 1.25),
        (MotionConfig(network="mlp"), None, None),
    ],
)
def test_every_epoch_says_where_the_threshold_is(
    clips: ClipSet, tmp_path: Path, motion: MotionConfig, low: float | None, high: float
):
    config = small_config(model=small_model(motion=motion), epochs=1)
    Trainer(config, clips, tmp_path, lambda record: None).run()
    records = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    found = [record["thresholds"] for record in records]
    assert len(found) == 2
    for thresholds in found:
        assert thresholds.keys() == (set() if low is None else {"audio", "visual"})
        assert all(low <= theta <= high for theta in thresholds.values())
