"""Generalised zero-shot scores: S, U, HM, ZSL, and the calibration β."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mdft.errors import UserError

#: Candidate values of β, chosen on validation data only.
BETAS = np.linspace(0.0, 3.0, 16)


@dataclass(frozen=True)
class Scores:
    """Mean per-class recalls, in [0, 1]; each is the float nearest to the exact fraction.

    Attributes:
        seen: S, over seen classes, among all candidates.
        unseen: U, over unseen classes, among all candidates.
        hm: harmonic mean 2SU/(S+U), 0 if both are 0.
        zsl: over unseen classes, among unseen candidates only; at least U.
        per_class: class index → recall among all candidates.
        zsl_per_class: unseen class index → recall among unseen candidates only.
        beta: calibration β, added to the distances of seen classes.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    per_class: dict[int, float]
    zsl_per_class: dict[int, float]
    beta: float


def harmonic_mean(seen: Fraction, unseen: Fraction) -> Fraction:
    """``2SU / (S + U)``; 0 where both are 0."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else Fraction(0)


def scores(distances: Any, labels: Any, seen: Any, beta: float = 0.0) -> Scores:
    """Score a test set against its candidate classes.

    A clip of an unseen class that :func:`predict` classifies correctly among all candidates is
    also correct among the unseen ones, so ZSL ≥ U. Means are exact fractions, so that the order of
    the classes cannot break or make a tie between two values of β.

    Args:
        distances: (n,C) Euclidean distances to every candidate.
        labels: (n,) candidate index of each clip.
        seen: (C,) bool, True for seen classes.
        beta: calibration β, added to the distances of seen classes.

    Raises:
        UserError: shapes disagree, a distance or β is not finite, or a candidate has no clip.
    """
    distances_NC, labels_N, seen_C = _checked(distances, labels, seen, beta)
    gzsl_N, zsl_N = predict(distances_NC, seen_C, beta)
    recalls = _recalls(gzsl_N, labels_N, len(seen_C))
    zsl_recalls = _recalls(zsl_N, labels_N, len(seen_C))
    s = _mean([recall for recall, is_seen in zip(recalls, seen_C, strict=True) if is_seen])
    u = _mean([recall for recall, is_seen in zip(recalls, seen_C, strict=True) if not is_seen])
    zsl = {int(c): zsl_recalls[c] for c in np.flatnonzero(~seen_C)}
    return Scores(
        seen=float(s),
        unseen=float(u),
        hm=float(harmonic_mean(s, u)),
        zsl=float(_mean(list(zsl.values()))),
        per_class={c: float(recall) for c, recall in enumerate(recalls)},
        zsl_per_class={c: float(recall) for c, recall in zsl.items()},
        beta=beta,
    )


def predict(
    distances_NC: np.ndarray, seen_C: np.ndarray, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Predict the class of each clip; ties go to the first candidate.

    GZSL: ``argmin_c d_c + β·1[c seen]``; ZSL: ``argmin`` over unseen candidates.

    Args:
        distances_NC: float64 Euclidean distances.
        seen_C: bool, True for seen classes.
        beta: calibration β.

    Returns:
        (n,) predicted candidate indices for GZSL, and for ZSL.
    """
    unseen_C = np.flatnonzero(~seen_C)
    gzsl_N = (distances_NC + beta * seen_C).argmin(1)
    return gzsl_N, unseen_C[distances_NC[:, unseen_C].argmin(1)]


def confusion(predicted_N: np.ndarray, labels_N: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix, (C,C) int64 counts: rows are true classes, columns predicted ones."""
    flat = np.bincount(labels_N * classes + predicted_N, minlength=classes * classes)
    return flat.reshape(classes, classes)


def choose_beta(distances: Any, labels: Any, seen: Any) -> float:
    """The β among ``BETAS`` with the best HM on validation data; ties go to the smallest.

    Args:
        distances: (n,C) Euclidean distances of the validation clips.
        labels: (n,) candidate index of each clip.
        seen: (C,) bool, True for seen classes.
    """
    hms = [scores(distances, labels, seen, beta).hm for beta in BETAS]
    return float(BETAS[int(np.argmax(hms))])


def _recalls(predicted_N: np.ndarray, labels_N: np.ndarray, classes: int) -> list[Fraction]:
    hits_C = np.bincount(labels_N[predicted_N == labels_N], minlength=classes)
    clips_C = np.bincount(labels_N, minlength=classes)
    return [Fraction(int(h), int(n)) for h, n in zip(hits_C, clips_C, strict=True)]


def _mean(recalls: list[Fraction]) -> Fraction:
    return sum(recalls, Fraction(0)) / len(recalls)


def _checked(
    distances: Any, labels: Any, seen: Any, beta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    distances_NC = np.asarray(distances, dtype=np.float64)
    labels_N, seen_C = np.asarray(labels), np.asarray(seen, dtype=bool)
    if distances_NC.ndim != 2 or distances_NC.shape != (len(labels_N), len(seen_C)):
        raise UserError(
            f"gzsl: distances have shape {distances_NC.shape}, expected "
            f"({len(labels_N)}, {len(seen_C)}) for {len(labels_N)} labels and {len(seen_C)} classes"
        )
    if not np.isfinite(distances_NC).all():
        raise UserError("gzsl: distances contain NaN or infinity, expected finite values")
    if not np.isfinite(beta):
        raise UserError(f"gzsl: beta is {beta}, expected a finite number")
    if seen_C.all() or not seen_C.any():
        raise UserError("gzsl: candidates are all seen or all unseen, expected both kinds")
    missing = np.setdiff1d(np.arange(len(seen_C)), labels_N)
    if len(missing):
        raise UserError(f"gzsl: candidate classes {missing.tolist()} have no clip to score")
    stray = np.setdiff1d(labels_N, np.arange(len(seen_C)))
    if len(stray):
        raise UserError(
            f"gzsl: labels {stray.tolist()}, expected candidate indices 0 to {len(seen_C) - 1}"
        )
    return distances_NC, labels_N, seen_C
