"""A backbone with words for tests: how bright a clip is, and how loud, against a table of names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdft.data.video.backbone import Backbone, Evidence, Labeller, Language

#: Name → its brightness and its loudness, from 0 to 1.
TABLE = {"bright loud": (1.0, 1.0), "dark loud": (0.0, 1.0), "dark silent": (0.0, 0.0)}
RATE = 8000


def _vectors(texts: Sequence[str]) -> np.ndarray:
    found = [TABLE[text.removeprefix("a video of ")] for text in texts]
    return np.array(found, dtype=np.float32)


def _labeller(names: Sequence[str], prompts: Sequence[str]) -> Labeller:
    places_CW = _vectors([prompts[0].replace("{}", name) for name in names])

    def label(audio_TD: np.ndarray, visual_TD: np.ndarray) -> dict[str, Evidence]:
        return {
            "audio": _evidence("loud", audio_TD.mean(), places_CW[:, 1]),
            "visual": _evidence("bright", visual_TD.mean(), places_CW[:, 0]),
        }

    return label


def _evidence(concept: str, x: float, places_C: np.ndarray) -> Evidence:
    log_C = -5 * np.abs(places_C.astype(np.float64) - x)
    return Evidence(log_C - np.log(np.exp(log_C).sum()), [(concept, float(x))])


TOY = Backbone(
    frame_size=16,
    frames_per_second=1,
    sound_rate=RATE,
    visual=lambda frames: frames.mean(axis=(1, 2), keepdims=False)[:, :1].astype(np.float32) / 255,
    audio=lambda sound: 3 * np.abs(sound.reshape(-1, RATE)).mean(1, keepdims=True),
    language=Language("toy", _vectors, _labeller),
)
