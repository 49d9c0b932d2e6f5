"""Explain a prediction: the input, the spikes, and the prediction without motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from events.video.wanted import Footage
from mdft.data.files.join import middle
from mdft.data.video.clip import ClipFeatures
from mdft.errors import UserError
from mdft.inference.candidates import Candidates, Guess
from mdft.inference.classifier import Classifier
from mdft.model.mdft import MDFT, Output
from mdft.systems.mdft import embedded


@dataclass(frozen=True)
class Pathway:
    """Activity of one pathway of the motion branch for a clip.

    Attributes:
        name: ``audio`` or ``visual``.
        theta_S: threshold at every step; the mean over neurons if each has its own.
        spikes: spikes of every layer, (S, N).
    """

    name: str
    theta_S: np.ndarray
    spikes: Sequence[np.ndarray]


@dataclass(frozen=True)
class Explanation:
    """The content of a page that explains a prediction.

    Attributes:
        footage: frames, sound and events of the part of the clip that the model is given.
        steps_per_second: event bins, and steps of the spiking branch, per second.
        pathways: activity of the motion branch's pathways.
        guesses: candidates with motion, nearest first.
        without: candidates without motion, nearest first.
        clip_E: embedding of the clip.
        clip_without_E: embedding of the clip without motion.
        classes_CE: embeddings of the candidates, in the order of ``names``.
        names: names of the candidates.
        seen_C: bool, True for seen candidates.
    """

    footage: Footage
    steps_per_second: int
    pathways: Sequence[Pathway]
    guesses: Sequence[Guess]
    without: Sequence[Guess]
    clip_E: np.ndarray
    clip_without_E: np.ndarray
    classes_CE: np.ndarray
    names: Sequence[str]
    seen_C: np.ndarray


@torch.no_grad()
def explain(
    classifier: Classifier, clip: ClipFeatures, choice: Candidates, guesses: Sequence[Guess]
) -> Explanation:
    """Explain the prediction for one clip, as in the paper's Figure 6.

    Without motion, no neuron of the branch fires, so that the gates of eq. (10) are the same
    everywhere; everything else is unchanged.

    Args:
        classifier: the classifier, whose model has a spiking motion branch.
        clip: the clip's features, read with ``keep_footage``.
        choice: the candidates.
        guesses: the prediction.

    Raises:
        UserError: the model has no spiking motion branch.
    """
    model, footage = classifier.model, clip.footage
    if not (isinstance(model, MDFT) and model.spiking):
        raise UserError("--explain: the run has no spiking motion branch")
    assert footage is not None, "read the clip with keep_footage=True"
    batch = classifier.preprocessing.batch([clip])
    semantics, inputs = model.semantics(batch), model.motion_inputs(batch)
    layers = {
        p: model.branch(p).spikes(x.x_BSD, threshold_current=x.current_BS1)
        for p, x in inputs.items()
    }
    steps = next(iter(inputs.values())).x_BSD.shape[1] // batch.mask_BT.shape[1]
    pathways = [
        Pathway(
            p,
            given.theta_BT1[0].mean(-1).repeat_interleave(steps).numpy(),
            [spikes_BSN[0].numpy() for spikes_BSN in layers[p]],
        )
        for p, given in inputs.items()
    ]
    silent = {p: [torch.zeros_like(x) for x in spikes] for p, spikes in layers.items()}
    still_BE = model.reason(semantics, silent, batch.mask_BT)
    still = Output(still_BE, model.reconstruct(still_BE), {})
    still_classifier = replace(classifier, embedder=lambda batch: embedded(still, batch))
    without = still_classifier.predict(clip, choice)
    moved_BE = model(batch).o_av_BE
    return Explanation(
        footage=_middle(footage, classifier.preprocessing.max_seconds),
        steps_per_second=steps,
        pathways=pathways,
        guesses=guesses,
        without=without,
        clip_E=moved_BE[0].numpy(),
        clip_without_E=still_BE[0].numpy(),
        classes_CE=model.embed_words(torch.from_numpy(choice.words_CW)).numpy(),
        names=choice.names,
        seen_C=choice.seen_C,
    )


def _middle(footage: Footage, max_seconds: int | None) -> Footage:
    """The middle of a longer clip, as :func:`mdft.data.files.join.middle` cuts its features."""
    T = footage.seconds
    if max_seconds is None or max_seconds >= T:
        return footage

    def cut(values: np.ndarray) -> np.ndarray:
        rest = values.shape[1:]
        return middle(values.reshape(T, -1, *rest), max_seconds).reshape(-1, *rest)

    remark = f"the middle {max_seconds} s of {T} s, as in training"
    return replace(
        footage,
        frames=cut(footage.frames),
        sound=cut(footage.sound),
        bins=cut(footage.bins),
        remarks=(*footage.remarks, remark),
    )
