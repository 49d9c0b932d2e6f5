"""Classes that a network never saw, from the concepts that it knows.

A network gives probabilities ``p(k | clip)`` of K concepts, such as ImageNet's classes. A text
encoder gives vectors of unit length: v_k of the concepts' names, v_c of the candidate classes.
ConSE (Norouzi et al., ICLR 2014) averages the vectors of the clip's concepts and takes the nearest
class. Here each class is a mixture of concepts instead,

    p(k | c) = softmax_k(v_c · v_k / τ),    p(clip | c) = Σ_k p(k | c) p(clip | k),

where v_k is the nearest of the concept's names (AudioSet's ``Baby cry, infant cry`` has two), and
Bayes' rule gives ``p(clip | k) ∝ p(k | clip) / p(k)``, with p(k) the share of the network's
training clips that have concept k. (Half of AudioSet's clips have music: that a network finds it
says little.) Normalised over the candidates, this is the share of what the network found that a
class explains. A class whose vector is near to every other one then has no advantage, because its
mixture is spread thin (docs/real.md compares both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from mdft.data.video.backbone import Evidence

#: Temperature τ of a class's mixture of concepts; docs/real.md says how it was chosen.
TAU = 0.07
_MOST_HEARD = 5
_LEAST = 1e-12
#: Clips in which AudioSet's labels were counted.
_AUDIOSET_CLIPS = 1_934_187


@dataclass(frozen=True)
class Head:
    """The last layer of a network: its concepts, and their probabilities from a feature vector.

    Attributes:
        concepts: the K concepts; the names of one are separated by ", ".
        weight_KD: float32.
        bias_K: float32.
        exclusive: whether exactly one concept is present (softmax), or any number (sigmoid).
        prior_K: p(k), how often each concept occurs in the training data, up to a factor.
    """

    concepts: Sequence[str]
    weight_KD: np.ndarray
    bias_K: np.ndarray
    exclusive: bool
    prior_K: np.ndarray

    @property
    def names(self) -> list[str]:
        """The names of all concepts, J of them."""
        return [name for concept in self.concepts for name in concept.split(", ")]

    @property
    def first_K(self) -> np.ndarray:
        """Place of each concept's first name in :attr:`names`, int64."""
        counts = [len(concept.split(", ")) for concept in self.concepts]
        return np.cumsum([0, *counts[:-1]])

    def probabilities(self, features_TD: np.ndarray) -> np.ndarray:
        """Probabilities of the concepts in each second, (T, K) float64."""
        logits_TK = features_TD.astype(np.float64) @ self.weight_KD.T + self.bias_K
        return softmax(logits_TK) if self.exclusive else 1 / (1 + np.exp(-logits_TK))

    def evidence(self, features_TD: np.ndarray, mixtures_CK: np.ndarray) -> Evidence:
        """What a clip's features say about candidate classes; the mean over its seconds.

        Args:
            features_TD: features of the clip.
            mixtures_CK: ``p(k | c)`` of the candidates, from :func:`mixtures`.
        """
        p_K = self.probabilities(features_TD).mean(axis=0)
        best = np.argsort(-p_K, kind="stable")[:_MOST_HEARD]
        heard = [(self.concepts[int(k)], float(p_K[k])) for k in best]
        return Evidence(log_shares(mixtures_CK @ (p_K / self.prior_K)), heard)


def mixtures(
    classes_CW: np.ndarray, names_JW: np.ndarray, first_K: np.ndarray, tau: float = TAU
) -> np.ndarray:
    """``p(k | c) = softmax_k(max_j v_c · v_j / τ)`` over the names j of concept k, (C, K) float64.

    Args:
        classes_CW: vectors of the candidates, of unit length.
        names_JW: vectors of the concepts' names, of unit length; NaN for a name without one.
        first_K: place of each concept's first name.
        tau: temperature τ.

    Example:
        >>> import numpy as np
        >>> mixtures(np.eye(2)[:1], np.eye(2), np.arange(2), tau=1.0).round(3).tolist()
        [[0.731, 0.269]]
    """
    near_CJ = classes_CW.astype(np.float64) @ names_JW.T.astype(np.float64)
    near_CJ = np.where(np.isnan(near_CJ), -np.inf, near_CJ)
    return softmax(np.maximum.reduceat(near_CJ, first_K, axis=1) / tau)


def softmax(x_BK: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    e_BK = np.exp(x_BK - x_BK.max(axis=-1, keepdims=True))
    return e_BK / e_BK.sum(axis=-1, keepdims=True)


def log_shares(s_C: np.ndarray) -> np.ndarray:
    """Logarithms of non-negative scores, normalised to sum 1; none is below log 1e-12."""
    return np.log(np.maximum(s_C / max(s_C.sum(), _LEAST), _LEAST))


def concept_names(name: str) -> list[str]:
    """Names of a network's concepts, in the order of its outputs.

    Args:
        name: ``imagenet`` (1000) or ``audioset`` (521).
    """
    return _lines(name)


def concept_priors(name: str) -> np.ndarray:
    """p(k), the share of the training data that has concept k, (K,) float64.

    ImageNet has about as many images of every class, so that p(k) is the same for all. AudioSet's
    labels were counted (docs/predict.md).

    Args:
        name: ``imagenet`` or ``audioset``.

    Example:
        >>> p_K = concept_priors("audioset")
        >>> int(p_K[concept_names("audioset").index("Music")] / p_K.min())
        15373
    """
    if name == "imagenet":
        return np.full(len(_lines(name)), 1 / len(_lines(name)))
    return np.array(_lines(f"{name}_clips"), dtype=np.float64) / _AUDIOSET_CLIPS


def _lines(name: str) -> list[str]:
    path = files("mdft.data.video") / "labels" / f"{name}.txt"
    return path.read_text(encoding="utf-8").splitlines()
