"""The two stages of the protocol, and the splits that each one uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of the protocol.

    Attributes:
        name: ``stage_1`` or ``stage_2``.
        train: split to train on.
        seen: split of seen classes to score.
        unseen: split of unseen classes to score.
    """

    name: str
    train: str
    seen: str
    unseen: str


STAGES = (
    Stage("stage_1", "stage_1_train", "val_seen", "val_unseen"),
    Stage("stage_2", "stage_2_train", "test_seen", "test_unseen"),
)
