"""The classes of the embedded benchmark, their scenes, and the splits of its clips.

A class is a combination of an object, a motion and a sound. The classes of a group share object
and sound and differ in motion only. The unseen classes of a group have motions that its seen
classes do not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mdft.config.rendered import MOTIONS, OBJECTS, SCENES, SOUNDS, ClassCounts

#: Kinds of class.
SEEN, VAL_UNSEEN, TEST_UNSEEN = "seen", "val_unseen", "test_unseen"
WORD_WIDTH = 300
#: Maximum number of home scenes of a motion's seen classes; other scenes are misleading.
_SCENES_PER_MOTION = 5
#: Keys of random streams; those of the clips are (seed, class, clip).
_CLASS_STREAM, _WORD_STREAM = 0x636C6173, 0x776F7264


@dataclass(frozen=True)
class ClipClass:
    """One class.

    Attributes:
        name: ``object-motion-sound``.
        object: one of ``OBJECTS``.
        motion: one of ``MOTIONS``.
        sound: one of ``SOUNDS``.
        kind: ``seen``, ``val_unseen`` or ``test_unseen``.
        scenes: scenes of its clips: one home scene for a seen class; for an unseen class the
            home scenes of seen classes that have another motion.
    """

    name: str
    object: str
    motion: str
    sound: str
    kind: str
    scenes: tuple[str, ...]


def make_classes(seed: int, counts: ClassCounts) -> tuple[ClipClass, ...]:
    """All classes, sorted by name; a class's id is its rank.

    Every object, motion and sound of an unseen class occurs in at least two seen classes.

    Raises:
        UserError: a count is out of its range.
    """
    counts.check()
    rng = np.random.default_rng(np.random.SeedSequence([seed, _CLASS_STREAM]))
    classes = [
        ClipClass(f"{thing}-{motion}-{sound}", thing, motion, sound, kind, scenes)
        for (_, motion, (thing, sound), kind), scenes in scenes_of(rng, _combinations(rng, counts))
    ]
    return tuple(sorted(classes, key=lambda c: c.name))


#: Group, motion, (object, sound) and kind of a class.
Combination = tuple[int, str, tuple[str, str], str]


def scenes_of(
    rng: np.random.Generator, combinations: list[Combination]
) -> Iterator[tuple[Combination, tuple[str, ...]]]:
    """Each class with its scenes; see :class:`ClipClass`."""
    homes = _homes(rng, [c for c in combinations if c[3] == SEEN])
    lived_in = sorted({scene for scenes in homes.values() for scene in scenes.values()})
    for combination in combinations:
        group, motion, _, kind = combination
        own = homes.get(motion, {})
        elsewhere = tuple(s for s in lived_in if s not in own.values())
        yield combination, (own[group],) if kind == SEEN else elsewhere


def pair_of(group: int, things: list[str], sounds: list[str]) -> tuple[str, str]:
    """Object and sound of a group: no two groups have both in common."""
    return things[group % len(things)], sounds[(group + group // len(things)) % len(sounds)]


def _combinations(rng: np.random.Generator, counts: ClassCounts) -> list[Combination]:
    """Every class; nothing is known about their scenes."""
    things, sounds = rng.permutation(OBJECTS).tolist(), rng.permutation(SOUNDS).tolist()
    motions = rng.permutation(MOTIONS).tolist()[: counts.motions]
    kinds = [VAL_UNSEEN] * counts.val_groups + [TEST_UNSEEN] * counts.test_groups
    deck: list[str] = []
    found: list[Combination] = []
    for g in range(counts.groups):
        pair = pair_of(g, things, sounds)
        # Dealing from a shuffled deck makes every motion equally frequent among the seen.
        deck = deck or rng.permutation(motions).tolist()
        dealt, deck = deck[: counts.seen_per_group], deck[counts.seen_per_group :]
        found += [(g, m, pair, SEEN) for m in dealt]
        if g < len(kinds):
            others = [m for m in motions if m not in dealt]
            chosen = rng.permutation(others).tolist()[: counts.unseen_per_group]
            found += [(g, m, pair, kinds[g]) for m in chosen]
    return found


def _homes(rng: np.random.Generator, seen: list[Combination]) -> dict[str, dict[int, str]]:
    """Motion → group → home scene; scenes differ within a group where they can."""
    used = dict.fromkeys(SCENES, 0)
    homes: dict[str, dict[int, str]] = {}
    allowed = {
        m: rng.permutation(SCENES).tolist()[:_SCENES_PER_MOTION]
        for m in sorted({m for _, m, _, _ in seen})
    }
    for group, motion, _, _ in seen:
        taken = {scenes[group] for scenes in homes.values() if group in scenes}
        scene = min(allowed[motion], key=lambda s: (s in taken, used[s]))
        used[scene] += 1
        homes.setdefault(motion, {})[group] = scene
    return homes


def word_vectors(seed: int, classes: tuple[ClipClass, ...], noise: float) -> np.ndarray:
    """(C, 300) float32 word vectors of unit norm, composed of the classes' attributes.

    ``w_c = unit(r_object + r_motion + r_sound + noise · ε_c)`` with one random unit vector
    ``r`` per attribute value and ``ε_c`` of unit norm. The scene is not included.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, _WORD_STREAM]))
    attributes = [(c.object, c.motion, c.sound) for c in classes]
    return composed_words(rng, attributes, (OBJECTS, MOTIONS, SOUNDS), noise)


def composed_words(
    rng: np.random.Generator,
    attributes: Sequence[tuple[str, ...]],
    vocabularies: tuple[tuple[str, ...], ...],
    noise: float,
) -> np.ndarray:
    """(C, 300) float32 sums of one random unit vector per attribute value, of unit norm.

    Args:
        rng: random generator.
        attributes: the attribute values of each class.
        vocabularies: all values of each attribute.
        noise: norm of a random vector that is added to each class.
    """
    directions = [
        {name: _unit(rng.standard_normal(WORD_WIDTH)) for name in names} for names in vocabularies
    ]
    words = [
        sum((table[value] for table, value in zip(directions, values, strict=True)), np.float64(0))
        + noise * _unit(rng.standard_normal(WORD_WIDTH))
        for values in attributes
    ]
    return np.stack([_unit(w) for w in words]).astype(np.float32)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def make_splits(classes: tuple[ClipClass, ...], counts: ClassCounts) -> Mapping[str, np.ndarray]:
    """Split name → sorted int64 clip indices; clip j of class c is ``c · clips_per_class + j``.

    A seen class: train, then ``val_clips`` for val_seen, then ``test_clips`` for test_seen.
    A validation-unseen class: val_unseen, then ``test_clips`` for test_seen, since stage 2
    trains on it. A test-unseen class: all test_unseen.
    """
    n, val, test = counts.clips_per_class, counts.val_clips, counts.test_clips
    splits: dict[str, list[int]] = {
        s: [] for s in ("stage_1_train", "val_seen", "val_unseen", "test_seen", "test_unseen")
    }
    for c, clip_class in enumerate(classes):
        clips = list(range(c * n, (c + 1) * n))
        if clip_class.kind == SEEN:
            splits["stage_1_train"] += clips[: n - test - val]
            splits["val_seen"] += clips[n - test - val : n - test]
            splits["test_seen"] += clips[n - test :]
        elif clip_class.kind == VAL_UNSEEN:
            splits["val_unseen"] += clips[: n - test]
            splits["test_seen"] += clips[n - test :]
        else:
            splits["test_unseen"] += clips
    both = splits["stage_1_train"] + splits["val_seen"] + splits["val_unseen"]
    splits["stage_2_train"] = sorted(both)
    return {name: np.array(clips, dtype=np.int64) for name, clips in splits.items()}
