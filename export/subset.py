"""A subset of the test clips, balanced over the classes and chosen by a seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

import numpy as np

from mdft.data.dataset import ClipSet
from mdft.errors import UserError


def balanced_subset(
    clips: ClipSet, seen_split: str, unseen_split: str, limit: int, seed: int
) -> ClipSet:
    """Return the data set with smaller test splits, balanced over their classes.

    The classes of both splits alternate in a random order, and each turn adds a random clip of the
    class. The numbers of clips per class therefore differ by at most one, except for classes with
    fewer clips, and a larger limit only adds clips.

    Args:
        clips: the data set.
        seen_split: the name of the split of seen classes.
        unseen_split: the name of the split of unseen classes.
        limit: the number of clips.
        seed: the seed of the random order.

    Raises:
        UserError: the limit is above the number of clips, or below 2.
    """
    names = (seen_split, unseen_split)
    total = sum(len(clips.splits[name]) for name in names)
    if not 2 <= limit <= total:
        raise UserError(f"--limit is {limit}, expected 2 to {total} test clips")
    rng = np.random.default_rng(seed)
    turns = []
    for name in names:
        indices = rng.permutation(clips.splits[name])
        labels = clips.labels_N[indices]
        turns.append([indices[labels == c] for c in rng.permutation(np.unique(labels))])
    pairs = zip_longest(*turns, fillvalue=np.array([], int))
    pools = [(name, pool) for pair in pairs for name, pool in zip(names, pair, strict=True)]
    rounds = max(len(pool) for _, pool in pools)
    order = [(name, pool[r]) for r in range(rounds) for name, pool in pools if r < len(pool)]
    chosen = {
        name: np.sort([clip for split, clip in order[:limit] if split == name]) for name in names
    }
    return replace(clips, splits={**clips.splits, **chosen})
