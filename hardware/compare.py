"""Exact comparison of spikes, and the distance to the threshold at the first difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerComparison:
    """Spikes of one layer against what they should be; membranes where it does not fire.

    Attributes:
        layer: name of the node.
        compared: number of spikes (or membranes) compared, B·S·N.
        differing: how many are unequal.
        rate: expected firing rate, in [0, 1].
        f1: 2·TP / (2·TP + FP + FN) of the spikes; 1 where both are silent.
        first: (sample, step, neuron) of the first difference in time, or None.
        distance: expected membrane − threshold there, in the graph's units, or None.
        membranes_differing: membranes unequal, where both sides recorded them, else None.
        graded: membranes were compared; then `rate` is 0 and `f1` the share that agrees.
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
        layer: name for the report.
        expected: spikes 0 or 1.
        found: spikes 0 or 1.
        distance: (B, S, N) expected membrane minus threshold.
        membranes: expected and found membranes, compared bit for bit.
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
    """Compare membranes (B, S, N) that are an output: |found − expected| ≤ tolerance·max|expected|.

    Args:
        layer: name for the report.
        expected: membranes.
        found: membranes in the same units.
        tolerance: relative to the largest; 0 for equality bit for bit.
    """
    assert expected.shape == found.shape, (layer, expected.shape, found.shape)
    wrong = np.abs(found - expected) > tolerance * np.abs(expected).max()
    differing = int(wrong.sum())
    share = 1 - differing / wrong.size
    return LayerComparison(
        layer, wrong.size, differing, 0.0, share, _first(wrong), None, None, graded=True
    )


def _first(wrong: np.ndarray) -> tuple[int, int, int] | None:
    """Earliest step first: later differences may only follow from it."""
    if not wrong.any():
        return None
    step, sample, neuron = np.unravel_index(
        np.argmax(wrong.swapaxes(0, 1)), wrong.swapaxes(0, 1).shape
    )
    return int(sample), int(step), int(neuron)
