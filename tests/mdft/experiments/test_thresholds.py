"""Changed thresholds on a small model: what must not change, and what the changes do."""

from __future__ import annotations

import dataclasses

import torch

from mdft import gzsl
from mdft.config.model import LossConfig, MotionConfig
from mdft.data.dataset import ClipSet
from mdft.data.stages import STAGES
from mdft.experiments.thresholds import CHANGES, ChangedThreshold, with_changes
from mdft.systems.mdft import MDFTSystem
from mdft.training.evaluation import score_split
from tests.mdft.small import small_model


def system(motion: MotionConfig, clips: ClipSet) -> MDFTSystem:
    torch.manual_seed(0)
    model = MDFTSystem(small_model(motion=motion), LossConfig())
    model.calibrate(clips.batch(clips.splits["stage_1_train"]))
    return model


def test_without_a_change_the_scores_are_the_models_own(clips: ClipSet):
    model = system(MotionConfig(value="both", theta_max=4.0), clips)
    found = with_changes(model, clips)
    assert tuple(found) == CHANGES and found["none"][1] == 0
    split = score_split(model, clips, STAGES[0].seen, STAGES[0].unseen, 1000)
    beta = gzsl.choose_beta(split.distances, split.labels, split.seen)
    assert found["none"][0] == gzsl.scores(split.distances, split.labels, split.seen, beta)
    # The thresholds of these random clips differ, so that another clip's change its spikes.
    assert found["mean"][1] > 0 and found["clips"][1] > 0 and found["seconds"][1] > 0


def test_a_fixed_threshold_cannot_be_changed(clips: ClipSet):
    found = with_changes(system(MotionConfig(threshold="fixed"), clips), clips)
    assert all(scores == found["none"][0] for scores, _ in found.values())
    assert [share for _, share in found.values()] == [0.0] * len(CHANGES)


def test_the_changes_by_hand(clips: ClipSet):
    theta_BT1 = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None]
    forward = ChangedThreshold(system(MotionConfig(), clips), "mean", torch.Generator())
    assert torch.equal(forward.changed(theta_BT1), torch.full((2, 3, 1), 3.5))
    other = dataclasses.replace(forward, change="clips").changed(theta_BT1)
    assert sorted(other[:, 0, 0].tolist()) == [1.0, 4.0]
    assert torch.equal(other[:, 1] - other[:, 0], torch.ones(2, 1))  # whole clips
    order = dataclasses.replace(forward, change="seconds").changed(theta_BT1)
    assert torch.equal(order.sort(1).values, theta_BT1) and order.shape == theta_BT1.shape
