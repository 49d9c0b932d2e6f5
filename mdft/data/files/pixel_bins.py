"""Read E_v from files of event bins, which ``mdft.features`` writes beside the features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mdft.data.feature_bins import CHANNELS
from mdft.data.files.join import middle
from mdft.data.files.layout import ClassFiles
from mdft.data.files.readers import read_seconds
from mdft.errors import UserError


def pixel_bins(
    read: Iterable[tuple[ClassFiles, Sequence[str], Sequence[int]]], max_seconds: int | None
) -> Iterator[np.ndarray]:
    """E_v of packed clips, one class and part at a time.

    Args:
        read: files, names of their clips in packed order, and lengths in seconds, before cutting.
        max_seconds: only the middle of a longer clip is kept, as for the features.

    Yields:
        (m, K, 512) uint8 in sixteenths.

    Raises:
        UserError: a clip is missing, differs in length from its features, or has values that are
            not event bins; the message names file and clip.
    """
    width = 0
    for files, names, seconds in read:
        assert files.events is not None, "found with pixel_events"
        found = read_seconds(files.events)
        width = width or found.width
        if found.width != width or width % CHANNELS:
            raise UserError(
                f"{files.events}: {found.width} wide, expected "
                f"{width if width % CHANNELS == 0 else f'a multiple of {CHANNELS}'}"
            )
        by_name = dict(zip(found.names, found.features, strict=True))
        for name, length in zip(names, seconds, strict=True):
            if name not in by_name:
                raise UserError(f"{files.events}: clip {name!r} of {files.audio} is missing")
            bins_TD = by_name[name]
            if len(bins_TD) != length:
                raise UserError(
                    f"{files.events}: clip {name!r} has {len(bins_TD)} s of events, expected "
                    f"{length} s as its features have"
                )
            as_bytes = bins_TD.astype(np.uint8)
            if not np.array_equal(as_bytes, bins_TD):
                raise UserError(f"{files.events}: clip {name!r}: expected whole numbers, 0 to 255")
            kept = middle(as_bytes, max_seconds)
            yield kept.reshape(len(kept), -1, CHANNELS)
