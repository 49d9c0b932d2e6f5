"""Check that clips are those of a run: its files may have changed since it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdft.config.data import DataConfig
from mdft.data.dataset import ClipSet
from mdft.data.scale import Scale
from mdft.errors import UserError
from mdft.runs.preprocessing import (
    PREPROCESSING,
    Preprocessing,
    preprocessing_of,
    read_preprocessing,
)

#: Difference of means and deviations, in deviations, and of word vectors, in parts of the largest
#: value, above which they are other ones: networks round differently on another machine.
_TOLERANCE = 0.001


def check_same_data(folder: Path, config: DataConfig, clips: ClipSet) -> None:
    """Check that clips are those that a run was trained and tested on.

    Compared are names, word vectors and roles of the classes, mean and deviation of the features
    of the training clips, and the clips of each split by name, class and length. A run of earlier
    code has no record of its splits, or no ``classes.safetensors``; then only what there is is
    compared.

    Args:
        folder: the run's folder.
        config: configuration of the data.
        clips: the clips that it gives now.

    Raises:
        UserError: they are other clips, or the file cannot be read.
    """
    if not (folder / PREPROCESSING).is_file():
        return
    before, now = read_preprocessing(folder), preprocessing_of(config, clips)
    if difference := next(_differences(before, now), None):
        raise UserError(
            f"{folder}: the data is no longer that of this run: {difference}; restore the data, "
            "or train again with another --out"
        )


def _differences(before: Preprocessing, now: Preprocessing) -> Iterator[str]:
    if list(before.classes) != list(now.classes):
        yield (
            f"{len(now.classes)} classes, expected the {len(before.classes)} in {PREPROCESSING}"
            + _listed("new", set(now.classes) - set(before.classes))
            + _listed("missing", set(before.classes) - set(now.classes))
        )
        return
    if before.words_CW.shape != now.words_CW.shape:
        widths = now.words_CW.shape[1], before.words_CW.shape[1]
        yield f"the word vectors have width {widths[0]}, expected {widths[1]}"
    elif not _near(now.words_CW, before.words_CW, np.abs(before.words_CW).max(keepdims=True)):
        yield "the classes have other word vectors"
    for role, then_C, now_C in (
        ("trained on", before.seen_C, now.seen_C),
        ("tested", before.tested_C, now.tested_C),
    ):
        if (then_C != now_C).any():
            names = [now.classes[int(c)] for c in np.flatnonzero(then_C != now_C)]
            yield f"other classes are {role}" + _listed("differing", names)
    for name in sorted({*before.scales, *now.scales}):
        yield from _other_features(name, before.scales.get(name), now.scales.get(name))
    for name, digest in before.splits.items():
        if now.splits.get(name) != digest:
            yield f"the split {name} has other clips"


def _other_features(name: str, before: Scale | None, now: Scale | None) -> Iterator[str]:
    if before is None or now is None:
        yield f"the {name} features are standardised in one of the two only"
    elif len(before.mean_D) != len(now.mean_D):
        yield f"the {name} features have width {len(now.mean_D)}, expected {len(before.mean_D)}"
    elif not (
        _near(now.mean_D, before.mean_D, before.deviation_D)
        and _near(now.deviation_D, before.deviation_D, before.deviation_D)
    ):
        yield f"the {name} features of the training clips have another mean or deviation"


def _near(found: np.ndarray, expected: np.ndarray, unit: np.ndarray) -> bool:
    most = _TOLERANCE * unit
    return bool(np.isclose(found, expected, rtol=0, atol=most, equal_nan=True).all())


def _listed(what: str, names: set[str] | list[str]) -> str:
    """`` (what: a, b)`` with at most five names, or an empty string if there are none."""
    first = sorted(names)
    more = f" and {len(first) - 5} more" if len(first) > 5 else ""
    return f" ({what}: {', '.join(first[:5])}{more})" if first else ""
