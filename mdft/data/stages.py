"""The two stages of the protocol and their splits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of the protocol.

    Attributes:
        name: ``stage_1`` or ``stage_2``.
        train: training split.
        seen: split of seen classes used for scoring.
        unseen: split of unseen classes used for scoring.
    """

    name: str
    train: str
    seen: str
    unseen: str


STAGES = (
    Stage("stage_1", "stage_1_train", "val_seen", "val_unseen"),
    Stage("stage_2", "stage_2_train", "test_seen", "test_unseen"),
)
