"""Some of the test clips: as many of each class, chosen by a seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

import numpy as np

from mdft.data.dataset import ClipSet
from mdft.errors import UserError


def balanced_subset(
    clips: ClipSet, seen_split: str, unseen_split: str, limit: int, seed: int
) -> ClipSet:
    """The same clips with two smaller splits, balanced over their classes.

    Classes of the two splits take turns, in an order drawn from the seed, and each turn takes
    another clip of the class, drawn too. So the numbers of clips differ by at most one, but for
    classes that have no more, and a larger limit only adds clips.

    Args:
        clips: the data set.
        seen_split: name of the split of seen classes.
        unseen_split: name of the split of unseen classes.
        limit: how many clips.
        seed: of the draw.

    Raises:
        UserError: more clips than there are, or fewer than one for each split.
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
