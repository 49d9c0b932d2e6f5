"""Generalised zero-shot scores: S, U, HM, ZSL, and the calibration β."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: β is chosen among these, on validation data only.
BETAS = np.linspace(0.0, 3.0, 16)


@dataclass(frozen=True)
class Scores:
    """Mean per-class recalls, in [0, 1].

    Attributes:
        seen: S, over seen classes, among all candidates.
        unseen: U, over unseen classes, among all candidates.
        hm: harmonic mean 2SU/(S+U), 0 if both are 0.
        zsl: over unseen classes, among unseen candidates only; never below U.
        per_class: class index → recall among all candidates.
        beta: what was added to the distances of seen classes.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    per_class: dict[int, float]
    beta: float


def harmonic_mean(seen: float, unseen: float) -> float:
    """``2SU / (S + U)``; 0 where both are 0."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def scores(distances: Any, labels: Any, seen: Any, beta: float = 0.0) -> Scores:
    """Score a test set against its candidate classes.

    GZSL: ``argmin_c d_c + β·1[c seen]``; ZSL: ``argmin`` over unseen candidates. The first of
    equal distances wins. Adding β ≥ 0 to seen classes only cannot make an unseen clip's best
    unseen candidate worse, so ZSL ≥ U.

    Args:
        distances: (n,C) Euclidean distances to every candidate.
        labels: (n,) candidate index of each clip.
        seen: (C,) bool.
        beta: calibration.

    Raises:
        ValueError: shapes disagree, a distance is not finite, or a candidate class has no clip.
    """
    distances_NC = np.asarray(distances, dtype=np.float64)
    labels_N, seen_C = np.asarray(labels), np.asarray(seen, dtype=bool)
    _check(distances_NC, labels_N, seen_C)
    gzsl_N = (distances_NC + beta * seen_C).argmin(1)
    unseen_C = np.flatnonzero(~seen_C)
    zsl_N = unseen_C[distances_NC[:, unseen_C].argmin(1)]
    per_class = _recalls(gzsl_N, labels_N, len(seen_C))
    s, u = float(per_class[seen_C].mean()), float(per_class[~seen_C].mean())
    zsl = float(_recalls(zsl_N, labels_N, len(seen_C))[~seen_C].mean())
    return Scores(s, u, harmonic_mean(s, u), zsl, dict(enumerate(per_class.tolist())), beta)


def choose_beta(distances: Any, labels: Any, seen: Any) -> float:
    """The β of the grid with the best HM, the first of equals. Validation data only.

    Args:
        distances: (n,C) Euclidean distances of the validation clips.
        labels: (n,) candidate index of each clip.
        seen: (C,) bool.
    """
    hms = [scores(distances, labels, seen, beta).hm for beta in BETAS]
    return float(BETAS[int(np.argmax(hms))])


def _recalls(predicted_N: np.ndarray, labels_N: np.ndarray, classes: int) -> np.ndarray:
    hits_C = np.bincount(labels_N[predicted_N == labels_N], minlength=classes)
    return hits_C / np.bincount(labels_N, minlength=classes)


def _check(distances_NC: np.ndarray, labels_N: np.ndarray, seen_C: np.ndarray) -> None:
    if distances_NC.ndim != 2 or distances_NC.shape != (len(labels_N), len(seen_C)):
        raise ValueError(
            f"gzsl: distances have shape {distances_NC.shape}, expected "
            f"({len(labels_N)}, {len(seen_C)}) for {len(labels_N)} labels and {len(seen_C)} classes"
        )
    if not np.isfinite(distances_NC).all():
        raise ValueError("gzsl: distances hold NaN or infinity, expected finite values")
    if seen_C.all() or not seen_C.any():
        raise ValueError("gzsl: candidates are all seen or all unseen, expected both kinds")
    missing = np.setdiff1d(np.arange(len(seen_C)), labels_N)
    if len(missing):
        raise ValueError(f"gzsl: candidate classes {missing.tolist()} have no clip to score")
    stray = np.setdiff1d(labels_N, np.arange(len(seen_C)))
    if len(stray):
        raise ValueError(f"gzsl: labels {stray.tolist()} are no candidate of {len(seen_C)}")
