"""Split a folder of clips into seen and unseen classes, training, validation and test clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mdft.data.files.splits import PARTS, check_protocol
from mdft.data.video.clip_csv import read_clip_csv
from mdft.errors import UserError, require

#: Fraction of the classes that are unseen in each stage, and fractions of a class's clips held
#: out for validation and for the test.
_UNSEEN, _VALIDATION, _TEST = 0.2, 0.15, 0.2
#: Two seen classes, one validation-unseen, one test-unseen; one clip each for training, validation
#: and test.
LEAST_CLASSES, LEAST_CLIPS = 4, 3


def draw_parts(clips: Mapping[str, Sequence[str]], seed: int) -> dict[str, list[str]]:
    """Split classes and clips at random.

    20 % of the classes (at least one) are unseen in stage 1, and another 20 % in the test. Each
    other class holds out 15 % of its clips (at least one) for validation and 20 % (at least one)
    for the test; validation-unseen classes hold out 20 % for the test, since stage 2 trains on the
    rest.

    Args:
        clips: class → its clips.
        seed: random seed; classes and clips are sorted first, so their order does not matter.

    Returns:
        key of ``mdft.data.files.splits.PARTS`` → clips.

    Raises:
        UserError: there are fewer than 4 classes, a class has fewer than 3 clips, or the seed is
            negative.
    """
    if len(clips) < LEAST_CLASSES:
        found = ", ".join(sorted(clips))
        raise UserError(
            f"{len(clips)} classes ({found}), expected at least {LEAST_CLASSES}: two for training, "
            "one for validation and one for the test; ten or more are better"
        )
    for name, few in clips.items():
        if len(few) < LEAST_CLIPS:
            raise UserError(
                f"class {name!r} has {len(few)} clips, expected at least {LEAST_CLIPS} readable "
                "ones; add clips or remove the class"
            )
    require(seed >= 0, "split_seed", seed, "0 or more")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x70617274]))
    classes = rng.permutation(sorted(clips)).tolist()
    unseen = max(1, round(_UNSEEN * len(classes)))
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for i, name in enumerate(classes):
        own = rng.permutation(sorted(clips[name])).tolist()
        test = max(1, round(_TEST * len(own)))
        if i < unseen:
            parts["test_unseen"] += own
        elif i < 2 * unseen:
            parts["test_seen"] += own[:test]
            parts["val_unseen"] += own[test:]
        else:
            end = test + max(1, round(_VALIDATION * len(own)))
            parts["test_seen"] += own[:test]
            parts["val_seen"] += own[test:end]
            parts["stage_1_train"] += own[end:]
    return {part: sorted(names) for part, names in parts.items()}


def read_parts(
    path: Path, clips: Sequence[str], all_clips: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Read a user's splits from a csv file with columns ``clip`` and ``part``.

    Args:
        path: the csv file (`mdft.data.video.clip_csv`); a clip is ``CLASS/NAME.mp4``, a part a key
            of ``mdft.data.files.splits.PARTS``. Clips without a row are in no part.
        clips: the extracted clips.
        all_clips: all clips of the folder; the row of one that could not be extracted is ignored.

    Raises:
        UserError: a row is not as expected or matches no clip, a part is empty, or the classes of
            the parts break the protocol (`mdft.data.files.splits.check_protocol`); the message
            names file and row, or file and part.
        OSError: the file cannot be read.
    """
    rows = read_clip_csv(path, "part", clips if all_clips is None else all_clips)
    usable = set(clips)
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for name, (line, part) in rows.items():
        if part not in parts:
            raise UserError(
                f"{path}: line {line}: part {part!r}, expected one of {', '.join(PARTS)}"
            )
        if name in usable:
            parts[part].append(name)
    for part, names in parts.items():
        if not names:
            raise UserError(f"{path}: no readable clip in part {part}, expected at least one")
    check_protocol(
        {part: {class_of(name) for name in names} for part, names in parts.items()},
        {part: f"{path}: readable clips of part {part}" for part in parts},
    )
    return {part: sorted(names) for part, names in parts.items()}


def class_of(clip: str) -> str:
    """The class of a clip ``CLASS/…/NAME.mp4``."""
    return clip.split("/", 1)[0]
