"""Exact comparison of spikes, and the distance to the threshold at the first difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerComparison:
    """Comparison of one layer's spikes with the expected ones; of membranes if it does not fire.

    Attributes:
        layer: the name of the node.
        compared: the number of spikes (or membranes) compared, B·S·N.
        differing: the number that differ.
        rate: the expected firing rate, in [0, 1].
        f1: 2·TP / (2·TP + FP + FN) of the spikes; 1 if neither side spikes.
        first: (sample, step, neuron) of the earliest difference, or None.
        distance: expected membrane − threshold at `first`, in the graph's units, or None.
        membranes_differing: the number of membranes that differ; None if not recorded by both
            sides.
        graded: whether membranes were compared; then `rate` is 0 and `f1` the share that agrees.
    """

    layer: str
    compared: int
    differing: int
    rate: float
    f1: float
    first: tuple[int, int, int] | None
    distance: float | None
    membranes_differing: int | None
    graded: bool = False


def compare(
    layer: str,
    expected: np.ndarray,
    found: np.ndarray,
    distance: np.ndarray | None = None,
    membranes: tuple[np.ndarray, np.ndarray] | None = None,
) -> LayerComparison:
    """Compare spikes (B, S, N).

    Args:
        layer: the name for the report.
        expected: the expected spikes, 0 or 1.
        found: the recorded spikes, 0 or 1.
        distance: the expected membrane minus the threshold, (B, S, N).
        membranes: the expected and the recorded membranes; they must be bit-equal.
    """
    assert expected.shape == found.shape, (layer, expected.shape, found.shape)
    wrong = expected.astype(bool) != found.astype(bool)
    both = int(np.logical_and(expected, found).sum())
    total = int(expected.astype(bool).sum()) + int(found.astype(bool).sum())
    first = _first(wrong)
    return LayerComparison(
        layer,
        wrong.size,
        int(wrong.sum()),
        float(expected.astype(bool).mean()),
        2 * both / total if total else 1.0,
        first,
        float(distance[first]) if first is not None and distance is not None else None,
        None if membranes is None else int((membranes[0] != membranes[1]).sum()),
    )


def compare_graded(
    layer: str, expected: np.ndarray, found: np.ndarray, tolerance: float
) -> LayerComparison:
    """Compare output membranes (B, S, N): |found − expected| ≤ tolerance·max|expected|.

    Args:
        layer: the name for the report.
        expected: the expected membranes.
        found: the recorded membranes, in the same units.
        tolerance: relative to the largest expected magnitude; 0 requires bit-equality.
    """
    assert expected.shape == found.shape, (layer, expected.shape, found.shape)
    wrong = np.abs(found - expected) > tolerance * np.abs(expected).max()
    differing = int(wrong.sum())
    share = 1 - differing / wrong.size
    return LayerComparison(
        layer, wrong.size, differing, 0.0, share, _first(wrong), None, None, graded=True
    )


def _first(wrong: np.ndarray) -> tuple[int, int, int] | None:
    """Index of the difference at the earliest step: later ones may be its consequence."""
    if not wrong.any():
        return None
    step, sample, neuron = np.unravel_index(
        np.argmax(wrong.swapaxes(0, 1)), wrong.swapaxes(0, 1).shape
    )
    return int(sample), int(step), int(neuron)
