"""The classes of the benchmark of order.

A class is a combination of an object, one value of each attribute of order, and a sound. The
classes of a group share object and sound. Its seen classes are one half of the sixteen orders, in
which every value of an attribute, every pair and every triple of values is equally frequent; its
unseen classes are the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from mdft.config.order import ORDERS, OrderCounts
from mdft.config.rendered import OBJECTS, SOUNDS
from mdft.data.order.sequence import Order
from mdft.data.rendered.classes import (
    SEEN,
    TEST_UNSEEN,
    VAL_UNSEEN,
    ClipClass,
    composed_words,
    pair_of,
    scenes_of,
)

_CLASS_STREAM, _WORD_STREAM = 0x6F726465, 0x6F726477


@dataclass(frozen=True)
class OrderClass(ClipClass):
    """One class.

    Attributes:
        order: the order of what happens; ``motion`` is its text.
    """

    order: Order


def make_classes(seed: int, counts: OrderCounts) -> tuple[OrderClass, ...]:
    """All classes, sorted by name; a class's id is its rank.

    Raises:
        UserError: a count is out of its range.
    """
    counts.check()
    rng = np.random.default_rng(np.random.SeedSequence([seed, _CLASS_STREAM]))
    things, sounds = rng.permutation(OBJECTS).tolist(), rng.permutation(SOUNDS).tolist()
    kinds = [VAL_UNSEEN] * counts.val_groups + [TEST_UNSEEN] * counts.test_groups
    halves: tuple[list[Order], list[Order]] = ([], [])
    for bits in product(range(2), repeat=len(ORDERS)):
        values = [both[bit] for both, bit in zip(ORDERS.values(), bits, strict=True)]
        halves[sum(bits) % 2].append(Order(*values))
    orders: dict[str, Order] = {str(order): order for half in halves for order in half}
    combinations = []
    for g in range(counts.groups):
        # Neighbouring groups have different halves, so that every order is among the seen.
        seen, unseen = halves[g % 2], halves[1 - g % 2]
        pair = pair_of(g, things, sounds)
        combinations += [(g, str(order), pair, SEEN) for order in seen]
        if g < len(kinds):
            combinations += [(g, str(order), pair, kinds[g]) for order in unseen]
    classes = [
        OrderClass(f"{thing}-{motion}-{sound}", thing, motion, sound, kind, scenes, orders[motion])
        for (_, motion, (thing, sound), kind), scenes in scenes_of(rng, combinations)
    ]
    return tuple(sorted(classes, key=lambda c: c.name))


def word_vectors(seed: int, classes: Sequence[OrderClass], noise: float) -> np.ndarray:
    """(C, 300) float32 word vectors of unit norm, composed of the classes' attributes.

    As for the embedded benchmark, with one direction for each object, sound and value of an
    attribute of order.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, _WORD_STREAM]))
    return composed_words(
        rng,
        [(c.object, *c.order.values, c.sound) for c in classes],
        (OBJECTS, *ORDERS.values(), SOUNDS),
        noise,
    )
