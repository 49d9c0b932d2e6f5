"""Labels of clips by the concepts of two networks; words are of a text encoder or of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdft.data.video.backbone import Evidence
from mdft.data.video.concepts import Head, mixtures
from mdft.data.video.names import vectors_of_file
from mdft.data.video.prompts import prompted
from mdft.errors import UserError


@dataclass(frozen=True)
class Concepts:
    """Labels clips by the concepts of both networks.

    Attributes:
        heads: modality → the last layer of its network.
        mixtures: modality → ``p(k | c)`` of the candidates, (C, K).
    """

    heads: Mapping[str, Head]
    mixtures: Mapping[str, np.ndarray]

    def __call__(self, audio_TD: np.ndarray, visual_TD: np.ndarray) -> dict[str, Evidence]:
        """The evidence of each modality."""
        features = {"audio": audio_TD, "visual": visual_TD}
        return {m: head.evidence(features[m], self.mixtures[m]) for m, head in self.heads.items()}


def by_sentences(
    encode: Callable[[Sequence[str]], np.ndarray],
    names: Sequence[str],
    prompts: Sequence[str],
    heads: Mapping[str, Head],
) -> Concepts:
    """The labeller of some class names, with the words of a text encoder.

    Args:
        encode: texts → vectors of unit length, (C, W).
        names: the candidates.
        prompts: texts with ``{}`` for the name; a name's vector is the mean over them.
        heads: modality → the last layer of its network.
    """
    classes_CW = prompted(encode, names, prompts)
    found = {m: mixtures(classes_CW, encode(h.names), h.first_K) for m, h in heads.items()}
    return Concepts(heads, found)


def by_words(
    path: Path, names: Sequence[str], heads: Mapping[str, Head]
) -> tuple[Concepts, list[str]]:
    """The labeller of some class names, with the words of a file such as GloVe's.

    A name's vector is the mean over its words. A name of a concept without any known word is left
    out, and so is a concept without names.

    Args:
        path: file of word vectors (:mod:`mdft.data.video.wordfiles`).
        names: the candidates.
        heads: modality → the last layer of its network.

    Returns:
        The labeller, and notes for the user, one line each.

    Raises:
        UserError: the file has no word of a class, or of any concept of a network, or cannot be
            read.
    """
    others = [name for head in heads.values() for name in head.names]
    classes_CW, rows_JW, notes = vectors_of_file(path, names, others)
    found, start = {}, 0
    for modality, head in heads.items():
        names_JW = rows_JW[start : start + len(head.names)]
        start += len(head.names)
        if np.isnan(names_JW).any(axis=1).all():
            raise UserError(
                f"{path}: no word of any {modality} concept, such as {head.names[0]!r}; expected "
                "word vectors of English"
            )
        found[modality] = mixtures(classes_CW, names_JW, head.first_K)
    return Concepts(heads, found), notes
