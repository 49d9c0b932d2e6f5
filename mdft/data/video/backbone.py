"""The networks that turn each second of frames and of sound into a feature vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mdft.data.video.concepts import Head


@dataclass(frozen=True)
class Evidence:
    """What one modality of a clip says about C candidate classes.

    Attributes:
        log_C: float64, natural logarithms of scores that sum to 1 over the candidates.
        heard: the concepts that the network itself found, with their scores, best first; empty
            for a network that compares clips with text directly.
    """

    log_C: np.ndarray
    heard: Sequence[tuple[str, float]] = ()


#: Features of a clip, audio (T, D_a) and visual (T, D_v), to the evidence of each modality.
Labeller = Callable[[np.ndarray, np.ndarray], Mapping[str, Evidence]]


@dataclass(frozen=True)
class Language:
    """The part of a backbone that understands class names.

    Attributes:
        name: name of the text encoder, which a run records with its word vectors.
        vectors: C texts → (C, W) float32.
        labeller: names of C classes and the prompts in which they are read → a labeller without
            training.
        heads: modality → the last layer of its network, with the concepts that it knows; empty for
            a network that compares clips with text directly.
    """

    name: str
    vectors: Callable[[Sequence[str]], np.ndarray]
    labeller: Callable[[Sequence[str], Sequence[str]], Labeller]
    heads: Mapping[str, Head] = field(default_factory=dict)


@dataclass(frozen=True)
class Backbone:
    """A pair of feature extractors, and the input that they need.

    Attributes:
        frame_size: shorter side of the frames in pixels.
        frames_per_second: frames per second, P.
        sound_rate: audio samples per second.
        visual: (T·P, H, W, 3) uint8 RGB → (T, D_v) float32.
        audio: (T·rate,) float32 → (T, D_a) float32.
        note: message to the user, such as a warning about random weights; empty if none.
        language: what it needs to label clips without training; None if it has no words.
        widths: D_a, D_v and the width of its words.
    """

    frame_size: int
    frames_per_second: int
    sound_rate: int
    visual: Callable[[np.ndarray], np.ndarray]
    audio: Callable[[np.ndarray], np.ndarray]
    note: str = ""
    language: Language | None = None
    widths: tuple[int, int, int] = (512, 512, 300)
