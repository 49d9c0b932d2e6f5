"""Word vectors of classes: of a file, of the backbone's text encoder, or of the letters alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mdft.data.dataset import LETTERS
from mdft.data.video.backbone import Backbone
from mdft.data.video.names import name_vectors


def class_vectors(
    names: Sequence[str], vectors: Path | None, backbone: Backbone
) -> tuple[np.ndarray, list[str]]:
    """The word vector of every class name.

    Args:
        names: class names.
        vectors: file of word vectors; None: the backbone's text encoder, or, if it has none,
            vectors that are computed from the letters of the names.
        backbone: the feature networks.

    Returns:
        (C, W) float32, and notes for the user, one line each.

    Raises:
        UserError: as :func:`mdft.data.video.names.name_vectors`.
    """
    if vectors is not None or backbone.language is None:
        return name_vectors(names, vectors)
    # Each text alone: CLIP's half and CLAP's half keep the length 1 that ClipClap gives them.
    spaced = [" ".join(name.replace("_", " ").split()) for name in names]
    found = backbone.language.vectors(spaced)
    return found, [f"word vectors: {backbone.language.name}, {found.shape[1]} wide"]


def words_name(vectors: Path | None, backbone: Backbone) -> str:
    """Name of the source of the word vectors, which a run records."""
    if vectors is not None:
        return vectors.name
    return LETTERS if backbone.language is None else backbone.language.name
